{% macro _is_truncated(text, pin, macro) %}
  {# Whether a text has more tokens than the model reads; NULL for a NULL. It does not run. #}
  {% set outcome = tf_embeddings._outcome(text, pin, macro, tokens_only=true) %}
  {{ return(tf_embeddings._outcome_column(outcome, 'is_truncated', pin)) }}
{% endmacro %}
