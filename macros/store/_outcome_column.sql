{% macro _outcome_column(outcome, column, pin) %}
  {#
    A part of what a model's function answers: embedding, token_count, is_truncated or status, typed
    as the column of a store.
  #}
  {{ return(adapter.dispatch('_outcome_column', 'tf_embeddings')(outcome, column, pin)) }}
{% endmacro %}

{% macro default___outcome_column(outcome, column, pin) %}
  {{ return(tf_embeddings._unsupported('embedding_store')) }}
{% endmacro %}
