{% macro duckdb__cosine_similarity(a, b) %}
  {# https://duckdb.org/docs/stable/sql/functions/array#array-native-functions #}
  {{ return('array_cosine_similarity(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}
