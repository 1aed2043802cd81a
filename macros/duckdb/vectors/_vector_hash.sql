{% macro duckdb___vector_hash(vector) %}
  {{ return('hash(' ~ vector ~ ')') }}
{% endmacro %}
