{% macro _unused(pins, inventory, days=0) %}
  {#
    The functions and then the files of an inventory that no pin names, each with why. A file is in
    use, whatever folder it is in, while its build is pinned or a function that the package did not
    create is named after it. is_young: it, or a function that runs it, is younger than `days`; its
    pin may not be merged yet.
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

{% macro _staged_file(pin, files) %}
  {# The staged artifact of a pin: in its place, or else its build as a different version. #}
  {% set found = [none] %}
  {% for file in files if [file.model, file.build] == [pin.model, pin.build] %}
    {% if file.version == pin.version %}
      {{ return(file) }}
    {% endif %}
    {% do found.append(file) %}
  {% endfor %}
  {{ return(found | last) }}
{% endmacro %}

{% macro _staged_state(pin, file) %}
  {# The state, in words, of a pin whose artifact is not in its place. #}
  {% if file %}
    {{ return('wrong pin: its build is staged as version ' ~ file.version ~ '; correct the pin') }}
  {% endif %}
  {{ return('not staged: ' ~ tf_embeddings._stage_command(pin.model)) }}
{% endmacro %}

{% macro _stage_command(model) %}
  {# The command that stages a model and writes its pin, for the folder where dbt was called. #}
  {% set place = tf_embeddings._package_folder() %}
  {% set script = tf_embeddings._script() %}
  {% set script = '"' ~ script ~ '"' if ' ' in script else script %}
  {% set project = ' --project-dir "' ~ place.project ~ '"' if place.project else '' %}
  {% set flags = tf_embeddings._staging_flags() %}
  {{ return(
    'python ' ~ script ~ ' ' ~ model ~ ' --write --target ' ~ flags.target ~ project ~ flags.vars
  ) }}
{% endmacro %}

{% macro _package_folder() %}
  {#
    Where the package is installed, as a map: folder, for a command in the folder where dbt was
    called; and project, the project's folder, or none if dbt was called in it, as far as is known.
    dbt v2 has no adapter.config, and tells only a folder that it was given.
  #}
  {% set is_v2 = tf_embeddings._is_v2() %}
  {% set known = adapter.config if adapter.config is defined else {} %}
  {% set root = (invocation_args_dict.project_dir if is_v2 else known.project_root) or '' %}
  {% set root = root | string %}
  {% set folder = (known.packages_install_path or 'dbt_packages') ~ '/tf_embeddings' %}
  {% set is_absolute = '^([/\\\\]|[A-Za-z]:)' %}
  {% set is_given = root and (
    is_v2 or '--project-dir' in (invocation_args_dict.invocation_command or '')
    or not modules.re.match(is_absolute, root)
  ) %}
  {% if is_given and not modules.re.match(is_absolute, folder) %}
    {% set folder = root ~ '/' ~ folder %}
  {% endif %}
  {{ return({'folder': folder, 'project': root if is_given else none}) }}
{% endmacro %}
