{% macro token_count(text, model=none) %}
  {% if tf_embeddings._is_parsing(model) %}
    {% do tf_embeddings._mark(model) %}
    {{ return('cast(null as integer)') }}
  {% endif %}

  {% set text = tf_embeddings._sql_argument('token_count', 'text', text) %}
  {% set pin = tf_embeddings._pin(model, 'token_count') %}
  {% if pin.kind == 'text' %}
    {% do exceptions.raise_compiler_error(
      "token_count: model '" ~ pin.model ~ "' is of kind text: it takes whole texts, and cannot "
      ~ "tell how many tokens they have. Name a model of kind tokens, sentencepiece or static."
    ) %}
  {% endif %}
  {% set outcome = tf_embeddings._outcome(text, pin, 'token_count', tokens_only=true) %}

  {{ return(tf_embeddings._outcome_column(outcome, 'token_count', pin)) }}
{% endmacro %}
