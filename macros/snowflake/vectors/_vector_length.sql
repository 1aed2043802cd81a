{% macro snowflake___vector_length(vector) %}
  {# https://docs.snowflake.com/en/sql-reference/data-types-vector#vector-conversion #}
  {{ return('array_size(cast(' ~ vector ~ ' as array))') }}
{% endmacro %}
