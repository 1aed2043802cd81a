{% macro _staging_create(role) %}
  {# Creates the schema and the stage, which a first upload comes before the first run for. #}
  {% if not tf_embeddings._settings().manage %}
    {{ return('') }}
  {% endif %}
  {% set schema, stage = tf_embeddings._create_stage() %}
  {% set database = tf_embeddings._identifier(tf_embeddings._settings().database) %}
  {% set to_role = ' to role ' ~ role %}
  {% do tf_embeddings._staging_query(
    schema,
    'Creating schema ' ~ tf_embeddings._schema_name(),
    next='Let its owner run: grant usage, create schema on database ' ~ database ~ to_role
  ) %}
  {% do tf_embeddings._staging_query(
    stage,
    'Creating stage ' ~ tf_embeddings._stage_name(),
    next="Let the schema's owner run: grant usage, create stage, create function on schema "
    ~ tf_embeddings._schema_name() ~ to_role
  ) %}
{% endmacro %}
