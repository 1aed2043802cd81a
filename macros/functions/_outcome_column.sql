{% macro _outcome_column(outcome, column, pin) %}
  {#
    A part of what a model's function answers, in the type of SQL that users get: embedding,
    token_count, is_truncated or status.
  #}
  {{ return(adapter.dispatch('_outcome_column', 'tf_embeddings')(outcome, column, pin)) }}
{% endmacro %}

{% macro default___outcome_column(outcome, column, pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}
