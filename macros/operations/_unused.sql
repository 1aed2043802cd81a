{% macro _unused(pins, inventory, days=0) %}
  {#
    The functions, and after them the files, of an inventory that no pin names, each with why. A
    file stays, whatever folder it is in, as long as its build is pinned, or a function that is not
    the package's has the name of it. is_young: it, or a function that runs it, is younger than so
    many days; its pin may not be merged yet.
  #}
  {% set pinned = [] %}
  {% for pin in pins %}
    {% do pinned.append([pin.model, pin.build]) %}
  {% endfor %}

  {% set unused = [] %}
  {% set young = [] %}
  {% set used = pinned | list %}
  {% for function in inventory.functions if not function.is_ours %}
    {% do used.append([function.model, function.build]) %}
  {% endfor %}
  {% for function in inventory.functions if function.is_ours and not function.is_named %}
    {% set is_of_no_pin = [function.model, function.build] not in pinned %}
    {% set is_young = function.get('age', days) < days %}
    {% do young.append([function.model, function.build]) if is_young %}
    {% do unused.append(dict(
      function,
      what='function',
      is_of_no_pin=is_of_no_pin,
      is_young=is_young,
      why='no pin names it' if is_of_no_pin else 'made with other settings',
    )) %}
  {% endfor %}
  {% for file in inventory.files if [file.model, file.build] not in used %}
    {% set is_young = file.get('age', days) < days or [file.model, file.build] in young %}
    {% do unused.append(dict(
      file, what='file', is_of_no_pin=true, is_young=is_young, why='no pin names it'
    )) %}
  {% endfor %}
  {{ return(unused) }}
{% endmacro %}
