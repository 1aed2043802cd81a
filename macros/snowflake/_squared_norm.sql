{% macro snowflake___squared_norm(vector) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_inner_product #}
  {{ return('vector_inner_product(' ~ vector ~ ', ' ~ vector ~ ')') }}
{% endmacro %}
