{% macro duckdb__cosine_similarity(a, b) %}
  {{ return(tf_embeddings._of_lists('list_cosine_similarity', a, b)) }}
{% endmacro %}
