{% macro snowflake___store_strategy() %}
  {#
    A merge: those on one table wait for one another, where INSERTs run side by side, so two jobs
    that run at once leave no row twice. dbt merges from a temporary view: what a statement embeds,
    it stores.
    https://docs.snowflake.com/en/sql-reference/transactions#resource-locking
  #}
  {{ return('merge') }}
{% endmacro %}
