{% macro snowflake___store_strategy() %}
  {#
    A merge, so that two jobs that run at once leave no row twice.
    https://docs.snowflake.com/en/sql-reference/transactions#resource-locking
  #}
  {{ return('merge') }}
{% endmacro %}
