{% macro snowflake___vector_json(vector) %}
  {#
    https://docs.snowflake.com/en/sql-reference/data-types-vector#vector-conversion
    https://docs.snowflake.com/en/sql-reference/functions/to_json
  #}
  {{ return('to_json(cast(' ~ vector ~ ' as array))') }}
{% endmacro %}
