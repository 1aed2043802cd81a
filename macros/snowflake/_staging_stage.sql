{% macro _staging_stage(role) %}
  {#
    The stage as SHOW STAGES has it, or none where the role sees no such stage.
    https://docs.snowflake.com/en/sql-reference/sql/show-stages
  #}
  {% set settings = tf_embeddings._settings() %}
  {% if not tf_embeddings._staging_has_schema(role) %}
    {{ return(none) }}
  {% endif %}

  {% set schema = tf_embeddings._schema_name() %}
  {% set stages = tf_embeddings._staging_query(
    'show stages like ' ~ tf_embeddings._stored_literal(settings.stage) ~ ' in schema ' ~ schema,
    'Looking into schema ' ~ schema,
    next='Let its owner run: grant usage on schema ' ~ schema ~ ' to role ' ~ role
  ) %}
  {% set name = tf_embeddings._stored_name(settings.stage) %}
  {% set stage = stages | selectattr('name', 'equalto', name) | first | default(none) %}
  {% if stage and 'EXTERNAL' in stage.type | default('') | string | upper %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ tf_embeddings._stage_name() ~ " is an external stage, and files can be put "
      ~ "on internal ones only. Name another one in var tf_embeddings_stage."
    ) %}
  {% endif %}
  {{ return(stage) }}
{% endmacro %}
