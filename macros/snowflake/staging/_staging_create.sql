{% macro _staging_create(role) %}
  {#
    Creates the stage, and the schema if it is missing, as the hook does: a first upload comes
    before the first run. CREATE SCHEMA IF NOT EXISTS asks for its privilege even where there is a
    schema: it is left out then, and the hook, which cannot, needs the privilege.
  #}
  {% if not tf_embeddings._settings().manage %}
    {{ return('') }}
  {% endif %}
  {% set schema, stage = tf_embeddings._create_stage() %}
  {% set database = tf_embeddings._identifier(tf_embeddings._settings().database) %}
  {% set to_role = ' to role ' ~ role %}
  {% if not tf_embeddings._shown('schemas', role) %}
    {% do tf_embeddings._staging_query(
      schema,
      'Creating schema ' ~ tf_embeddings._schema_name(),
      next='Let its owner run: grant usage, create schema on database ' ~ database ~ to_role
    ) %}
  {% endif %}
  {% do tf_embeddings._staging_query(
    stage,
    'Creating stage ' ~ tf_embeddings._stage_name(),
    next="Where another role owns the schema and makes the functions, set var "
    ~ "tf_embeddings_manage to false. Else let the database's owner run: grant create schema on "
    ~ "database " ~ database ~ to_role ~ ". Let the schema's owner run: grant usage, create stage, "
    ~ "create function on schema " ~ tf_embeddings._schema_name() ~ to_role
  ) %}
{% endmacro %}
