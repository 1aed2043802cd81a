{% macro rerank(query, text, model=none) %}
  {# Without `model` it is the only cross-encoder that is pinned, if there is one. #}
  {% set model = tf_embeddings._reranker(model) %}
  {% if tf_embeddings._is_parsing(model) %}
    {% do tf_embeddings._mark(model) if model is not none %}
    {{ return('cast(null as float)') }}
  {% endif %}

  {% set query = tf_embeddings._sql_argument('rerank', 'query', query) %}
  {% set text = tf_embeddings._sql_argument('rerank', 'text', text) %}
  {% set pin = tf_embeddings._reranker_pin(model) %}
  {% set pair = tf_embeddings._pair(query, text) %}
  {% set outcome = tf_embeddings._outcome(pair, pin, 'rerank') %}

  {{ return(tf_embeddings._outcome_column(outcome, 'score', pin)) }}
{% endmacro %}

{% macro _pair(query, text) %}
  {#
    A query and a text as the one text that a cross-encoder takes; the runtime's module
    encoders/pairs.py says how it is written. length counts characters, as Python does: code points.
    https://duckdb.org/docs/stable/sql/functions/text#lengthstring
    https://docs.snowflake.com/en/sql-reference/functions/length
  #}
  {% set query = 'cast(' ~ query ~ ' as varchar)' %}
  {{ return(
    'cast(length(' ~ query ~ ") as varchar) || ':' || " ~ query ~ ' || cast(' ~ text
    ~ ' as varchar)'
  ) }}
{% endmacro %}

{% macro _reranker(model) %}
  {# The name of the model that rerank is called with: the only cross-encoder if it is none. #}
  {% set settings = tf_embeddings._settings() %}
  {% set names = settings.rerankers %}
  {% if model is not none or not names %}
    {{ return(model) }}
  {% endif %}
  {% if settings.default_model in names %}
    {{ return(settings.default_model) }}
  {% endif %}
  {{ return(names[0] if names | length == 1 else none) }}
{% endmacro %}

{% macro _reranker_pin(model) %}
  {# The pin of a cross-encoder; see _pin. #}
  {% set names = tf_embeddings._settings().rerankers %}
  {% set stage_one = "Stage one with " ~ tf_embeddings._script() ~ " ms_marco_minilm --write" %}
  {% if model is none %}
    {% do exceptions.raise_compiler_error(
      "rerank: var tf_embeddings_models has " ~ (
        "several cross-encoders (" ~ names | join(', ') ~ "). Pass model='…'." if names
        else "no cross-encoder, a model of kind pairs. " ~ stage_one ~ "."
      )
    ) %}
  {% endif %}
  {% set pin = tf_embeddings._pin(model, 'rerank', takes='any') %}
  {% if pin.kind != 'pairs' %}
    {% do exceptions.raise_compiler_error(
      "rerank: model '" ~ pin.model ~ "' is of kind " ~ pin.kind ~ ": it gives a text a vector, "
      ~ "and no score to two texts. " ~ (
        "Name a cross-encoder (" ~ names | join(', ') ~ ")." if names
        else stage_one ~ ", or compare vectors with cosine_similarity."
      )
    ) %}
  {% endif %}
  {{ return(pin) }}
{% endmacro %}
