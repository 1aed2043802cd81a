{% macro text_hash(text) %}
  {% set text = tf_embeddings._sql_argument('text_hash', 'text', text) %}

  {{ return(adapter.dispatch('text_hash', 'tf_embeddings')(text)) }}
{% endmacro %}
