{% macro snowflake___status(text, pin, macro) %}
  {# The function is strict: it is not called for a NULL, and gives no outcome for it. #}
  {% set outcome = tf_embeddings._outcome(text, pin, macro) %}
  {{ return(
    'coalesce(' ~ tf_embeddings._outcome_column(outcome, 'status', pin) ~ ", 'null')"
  ) }}
{% endmacro %}
