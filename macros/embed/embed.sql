{% macro embed(text, model=none) %}
  {# A wrong pin must stop a run but not the parsing, which staging the first model needs. #}
  {% if tf_embeddings._is_parsing(model) %}
    {% do tf_embeddings._mark(model) %}
    {{ return('cast(null as ' ~ tf_embeddings._vector_type(1) ~ ')') }}
  {% endif %}

  {% set text = tf_embeddings._sql_argument('embed', 'text', text) %}
  {% set pin = tf_embeddings._pin(model, 'embed') %}
  {% set outcome = tf_embeddings._outcome(text, pin, 'embed') %}

  {{ return(tf_embeddings._outcome_column(outcome, 'embedding', pin)) }}
{% endmacro %}
