{% macro snowflake__inner_product(a, b) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_inner_product #}
  {{ return('vector_inner_product(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}
