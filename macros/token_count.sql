{% macro token_count(text, model=none) %}
  {% if not execute %}
    {% do tf_embeddings._mark(model) %}
    {{ return('cast(null as integer)') }}
  {% endif %}

  {% set text = tf_embeddings._sql_argument('token_count', 'text', text) %}
  {% set pin = tf_embeddings._counting_pin(model, 'token_count') %}
  {% set outcome = tf_embeddings._outcome(text, pin, 'token_count', tokens_only=true) %}

  {{ return(tf_embeddings._outcome_column(outcome, 'token_count', pin)) }}
{% endmacro %}
