{% macro _staging_stage(role) %}
  {# The stage as SHOW STAGES has it, or none where the role sees no such stage. #}
  {% if not tf_embeddings._shown('schemas', role) %}
    {{ return(none) }}
  {% endif %}

  {% set stage = tf_embeddings._shown('stages', role) %}
  {% if stage and 'EXTERNAL' in stage.type | default('') | string | upper %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ tf_embeddings._stage_name() ~ " is an external stage, and files can be put "
      ~ "on internal ones only. Name another one in var tf_embeddings_stage."
    ) %}
  {% endif %}
  {{ return(stage) }}
{% endmacro %}
