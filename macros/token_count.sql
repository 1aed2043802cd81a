{% macro token_count(text, model=none) %}
  {% if not execute %}
    {% do tf_embeddings._mark(model) %}
    {{ return('cast(null as integer)') }}
  {% endif %}

  {% set text = tf_embeddings._sql_argument('token_count', 'text', text) %}
  {% set pin = tf_embeddings._counting_pin(model, 'token_count') %}

  {{ return(adapter.dispatch('token_count', 'tf_embeddings')(text, pin)) }}
{% endmacro %}

{% macro default__token_count(text, pin) %}
  {{ return(tf_embeddings._unsupported('token_count')) }}
{% endmacro %}
