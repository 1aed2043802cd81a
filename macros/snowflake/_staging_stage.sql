{% macro _staging_stage(role) %}
  {#
    The stage as SHOW STAGES has it, or none where the role sees no such stage. LIKE takes _ and %
    for wildcards, so the names are compared here.
    https://docs.snowflake.com/en/sql-reference/sql/show-stages
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
  {% set schema = tf_embeddings._stored_name(settings.schema) %}
  {% if schema not in schemas | map(attribute='name') %}
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
