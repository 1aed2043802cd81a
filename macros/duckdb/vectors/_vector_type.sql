{% macro duckdb___vector_type(dimensions) %}
  {{ return('float[' ~ dimensions ~ ']') }}
{% endmacro %}
