{% macro snowflake___squared_norm(vector) %}
  {#
    The vector functions are exact to 1e-4 only; and no page says that their sums hold more than
    32 bits, so that a vector with a component beyond 1e19 may count as infinite, and one with none
    beyond 1e-23 as zero.
    https://docs.snowflake.com/en/sql-reference/functions/vector_inner_product
  #}
  {{ return('vector_inner_product(' ~ vector ~ ', ' ~ vector ~ ')') }}
{% endmacro %}
