{% macro duckdb___status(text, pin, macro) %}
  {% set outcome = tf_embeddings._outcome(text, pin, macro) %}
  {{ return(tf_embeddings._outcome_column(outcome, 'status', pin)) }}
{% endmacro %}
