{% macro text_hash(text) %}
  {% set text = tf_embeddings._sql_argument('text_hash', 'text', text) %}

  {{ return(tf_embeddings._text_hash(text)) }}
{% endmacro %}
