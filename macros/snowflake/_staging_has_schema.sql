{% macro _staging_has_schema(role) %}
  {#
    Whether the role sees the schema. LIKE takes _ and % for wildcards, so names are compared here.
    https://docs.snowflake.com/en/sql-reference/sql/show-schemas
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set database = tf_embeddings._identifier(settings.database) %}
  {% set schemas = tf_embeddings._staging_query(
    'show schemas like ' ~ tf_embeddings._stored_literal(settings.schema) ~ ' in database '
    ~ database,
    'Looking into database ' ~ database,
    next='Name another one in var tf_embeddings_database, or let its owner run: grant usage on '
    ~ 'database ' ~ database ~ ' to role ' ~ role
  ) %}
  {{ return(tf_embeddings._stored_name(settings.schema) in schemas | map(attribute='name')) }}
{% endmacro %}
