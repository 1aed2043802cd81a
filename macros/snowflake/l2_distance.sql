{% macro snowflake__l2_distance(a, b) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_l2_distance #}
  {{ return('vector_l2_distance(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}
