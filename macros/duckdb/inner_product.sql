{% macro duckdb__inner_product(a, b) %}
  {{ return(tf_embeddings._of_lists('list_inner_product', a, b)) }}
{% endmacro %}
