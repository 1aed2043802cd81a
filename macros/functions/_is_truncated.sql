{% macro _is_truncated(text, pin, macro) %}
  {# Whether a text has more tokens than the model reads; NULL for a NULL. It does not run. #}
  {{ return(adapter.dispatch('_is_truncated', 'tf_embeddings')(text, pin, macro)) }}
{% endmacro %}

{% macro default___is_truncated(text, pin, macro) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}
