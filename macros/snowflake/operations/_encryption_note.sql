{% macro _encryption_note(stage) %}
  {#
    Where var tf_embeddings_stage_encryption is set and a stage is encrypted otherwise, a sentence;
    else none. Nothing changes the encryption of a stage.
    https://docs.snowflake.com/en/sql-reference/sql/create-stage
  #}
  {% if not stage or tf_embeddings._scoped_var('tf_embeddings_stage_encryption') is none %}
    {{ return(none) }}
  {% endif %}
  {% set has = 'SNOWFLAKE_SSE' if 'NO CSE' in stage.type | default('') | string | upper
    else 'SNOWFLAKE_FULL' %}
  {% set wanted = tf_embeddings._settings().stage_encryption %}
  {{ return(none if has == wanted else
    "Stage " ~ tf_embeddings._stage_name() ~ " is encrypted with " ~ has ~ ", and var "
    ~ "tf_embeddings_stage_encryption is " ~ wanted ~ ": a stage keeps the encryption that it was "
    ~ "created with. Name a new stage in var tf_embeddings_stage and stage the models again, or "
    ~ "correct the var."
  ) }}
{% endmacro %}
