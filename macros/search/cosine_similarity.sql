{% macro cosine_similarity(a, b) %}
  {% set a = tf_embeddings._sql_argument('cosine_similarity', 'a', a) %}
  {% set b = tf_embeddings._sql_argument('cosine_similarity', 'b', b) %}

  {{ return(tf_embeddings._cosine_similarity(a, b)) }}
{% endmacro %}
