{% macro l2_distance(a, b) %}
  {% set a = tf_embeddings._sql_argument('l2_distance', 'a', a) %}
  {% set b = tf_embeddings._sql_argument('l2_distance', 'b', b) %}

  {{ return(tf_embeddings._l2_distance(a, b)) }}
{% endmacro %}
