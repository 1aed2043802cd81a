{% macro duckdb__l2_distance(a, b) %}
  {{ return(tf_embeddings._of_lists('list_distance', a, b)) }}
{% endmacro %}
