{% macro snowflake___is_finite(number) %}
  {#
    NaN is greater than every other number, infinity included.
    https://docs.snowflake.com/en/sql-reference/data-types-numeric#special-values
  #}
  {{ return(
    '(' ~ number ~ " > cast('-inf' as float) and " ~ number ~ " < cast('inf' as float))"
  ) }}
{% endmacro %}
