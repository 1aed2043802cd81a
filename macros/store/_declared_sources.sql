{% macro _declared_sources(sources) %}
  {#
    The sources of a store as its meta holds them for the operations. A relation that is passed as
    an object is none there: at parse time, ref() gives the model itself.
  #}
  {% set declared = [] %}
  {% set entries = [sources] if sources is mapping else sources %}
  {% for entry in (entries if entries is sequence and entries is not string else [])
    if entry is mapping %}
    {% set relation = entry.get('relation') %}
    {% do declared.append(
      dict(entry, relation=none) if relation is not none and relation is not string else entry
    ) %}
  {% endfor %}
  {{ return(declared) }}
{% endmacro %}
