{% macro snowflake___store_strategy() %}
  {#
    Two merges into one table generally wait for each other, while INSERTs run side by side; a merge
    that begins after the other's commit adds no row twice. No page says whether one that began
    before, and waited, sees the other's rows. dbt merges from a temporary view, so each statement
    stores what it embeds.
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
