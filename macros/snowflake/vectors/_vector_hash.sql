{% macro snowflake___vector_hash(vector) %}
  {#
    Of an ARRAY, since no page says that a VECTOR may be hashed.
    https://docs.snowflake.com/en/sql-reference/functions/hash
  #}
  {{ return('hash(cast(' ~ vector ~ ' as array))') }}
{% endmacro %}
