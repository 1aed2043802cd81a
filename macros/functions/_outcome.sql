{% macro _outcome(text, pin, macro='embed', tokens_only=false) %}
  {#
    The call of a model's function: embedding, token_count, is_truncated and status of one text.
    With tokens_only the model itself does not run, and the embedding is NULL.
  #}
  {{ return(adapter.dispatch('_outcome', 'tf_embeddings')(text, pin, macro, tokens_only)) }}
{% endmacro %}

{% macro default___outcome(text, pin, macro, tokens_only) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}
