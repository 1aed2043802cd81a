{% macro inner_product(a, b) %}
  {% set a = tf_embeddings._sql_argument('inner_product', 'a', a) %}
  {% set b = tf_embeddings._sql_argument('inner_product', 'b', b) %}

  {{ return(tf_embeddings._inner_product(a, b)) }}
{% endmacro %}
