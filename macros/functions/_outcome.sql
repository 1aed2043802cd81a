{% macro _outcome(text, pin) %}
  {# The call of a model's function: embedding, token_count, is_truncated and status of one text. #}
  {{ return(adapter.dispatch('_outcome', 'tf_embeddings')(text, pin)) }}
{% endmacro %}

{% macro default___outcome(text, pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}
