{% macro _source_relation(source) %}
  {# The relation of a source of a store; ref() and source() make the edge of dbt's graph. #}
  {% if source.kind == 'relation' %}
    {{ return(source.name) }}
  {% endif %}
  {% if source.name is string %}
    {{ return(ref(source.name)) }}
  {% endif %}
  {% if source.kind == 'ref' %}
    {{ return(ref(source.name[0], source.name[1])) }}
  {% endif %}
  {{ return(builtins.source(source.name[0], source.name[1])) }}
{% endmacro %}
