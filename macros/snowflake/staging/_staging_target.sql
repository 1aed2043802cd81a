{% macro snowflake___staging_target(packages, left_out) %}
  {% set settings = tf_embeddings._settings() %}
  {% do tf_embeddings._require_packages(packages, 'stage_model: the model') %}
  {% set role = tf_embeddings._staging_role() %}
  {# Also where another role manages: --verify creates the functions whatever that says. #}
  {% set warnings = tf_embeddings._staging_check_repository(role, left_out) %}
  {% do tf_embeddings._staging_check_packages(packages, left_out) %}
  {% set shown = tf_embeddings._staging_stage(role) %}
  {% set encryption = tf_embeddings._encryption_note(shown) %}
  {% if encryption %}
    {% do warnings.append(encryption) %}
  {% endif %}
  {% if not shown and not settings.manage %}
    {% set stage = tf_embeddings._stage_name() %}
    {% do exceptions.raise_compiler_error(
      "stage_model: role " ~ role ~ " sees no stage " ~ stage ~ ", and var tf_embeddings_manage is "
      ~ (settings.managers | join(', ') or "false") ~ ", so it is not created here. "
      ~ ("Run this with --target " ~ settings.managers[0] ~ ", or let" if settings.managers
        else "Let")
      ~ " a role that may create it run:\n"
      ~ tf_embeddings._create_stage() | join(';\n') ~ ";\n"
      ~ "grant usage on schema " ~ tf_embeddings._schema_name() ~ " to role " ~ role ~ ";\n"
      ~ "grant read, write on stage " ~ stage ~ " to role " ~ role ~ ";"
    ) %}
  {% endif %}
  {# LiteRT is not known to be in Anaconda's channel; see _require_packages. #}
  {% set is_anaconda = settings.artifact_repository | lower
    == 'snowflake.snowpark.anaconda_shared_repository' %}
  {{ return({
    'stage': '@' ~ tf_embeddings._stage_name(),
    'engines': ['tensorflow'] if is_anaconda else ['litert', 'tensorflow'],
    'warnings': warnings,
  }) }}
{% endmacro %}
