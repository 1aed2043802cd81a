{% macro snowflake__text_hash(text) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/sha2 #}
  {{ return('sha2(cast(' ~ text ~ ' as varchar), 256)') }}
{% endmacro %}
