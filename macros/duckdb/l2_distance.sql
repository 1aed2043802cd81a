{% macro duckdb__l2_distance(a, b) %}
  {# https://duckdb.org/docs/stable/sql/functions/array#array-native-functions #}
  {{ return('array_distance(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}
