{% macro duckdb__inner_product(a, b) %}
  {# https://duckdb.org/docs/stable/sql/functions/array#array-native-functions #}
  {{ return('array_inner_product(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}
