{% macro l2_distance(a, b) %}
  {% set a = tf_embeddings._sql_argument('l2_distance', 'a', a) %}
  {% set b = tf_embeddings._sql_argument('l2_distance', 'b', b) %}

  {{ return(adapter.dispatch('l2_distance', 'tf_embeddings')(a, b)) }}
{% endmacro %}
