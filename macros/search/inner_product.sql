{% macro inner_product(a, b) %}
  {% set a = tf_embeddings._sql_argument('inner_product', 'a', a) %}
  {% set b = tf_embeddings._sql_argument('inner_product', 'b', b) %}

  {{ return(adapter.dispatch('inner_product', 'tf_embeddings')(a, b)) }}
{% endmacro %}
