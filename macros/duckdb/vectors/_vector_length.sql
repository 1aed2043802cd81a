{% macro duckdb___vector_length(vector) %}
  {{ return('len(' ~ vector ~ ')') }}
{% endmacro %}
