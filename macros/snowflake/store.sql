{% macro snowflake___store_strategy() %}
  {#
    A merge: two on one table generally wait for one another, where INSERTs run side by side, and
    one that begins after the other's commit adds no row twice. Whether one that began before, and
    waited, sees the other's rows, no page says. dbt merges from a temporary view: what a statement
    embeds, it stores.
    https://docs.snowflake.com/en/sql-reference/transactions#resource-locking
  #}
  {{ return('merge') }}
{% endmacro %}

{% macro snowflake___store_pace() %}
  {# A statement has to load the model first. #}
  {{ return({'first': 5000, 'seconds': 60}) }}
{% endmacro %}

{% macro snowflake___joinable_vector(vector) %}
  {{ return(vector) }}
{% endmacro %}

{% macro snowflake___joined_vector(vector, dimensions) %}
  {{ return(vector) }}
{% endmacro %}
