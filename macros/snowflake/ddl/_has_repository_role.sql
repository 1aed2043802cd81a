{% macro _has_repository_role() %}
  {#
    A SQL expression: whether this session's role has the database role of the repository, 'TRUE' or
    'FALSE'; 'TRUE' for a repository of the account's own, of which no role is known. No page says
    whether what PUBLIC has counts.
    https://docs.snowflake.com/en/sql-reference/functions/is_database_role_activated
  #}
  {% set role = tf_embeddings._repository_role() %}
  {{ return(
    "sys_context('SNOWFLAKE$SESSION', 'IS_DATABASE_ROLE_ACTIVATED', '" ~ role ~ "')" if role
    else "'TRUE'"
  ) }}
{% endmacro %}
