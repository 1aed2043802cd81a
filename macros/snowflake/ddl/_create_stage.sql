{% macro _create_stage() %}
  {#
    The statements that create the schema and the stage of the artifacts, if there are none.
    https://docs.snowflake.com/en/sql-reference/sql/create-stage
  #}
  {{ return([
    'create schema if not exists ' ~ tf_embeddings._schema_name()
    ~ " comment = 'tf_embeddings: embedding models and their functions'",
    'create stage if not exists ' ~ tf_embeddings._stage_name()
    ~ " encryption = (type = '" ~ tf_embeddings._settings().stage_encryption ~ "')"
    ~ " comment = 'tf_embeddings: artifacts of embedding models'",
  ]) }}
{% endmacro %}
