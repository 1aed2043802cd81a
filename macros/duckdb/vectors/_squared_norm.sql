{% macro duckdb___squared_norm(vector) %}
  {#
    list_inner_product refuses a null component; the case keeps it from seeing one in a vector, and
    _as_list beside vectors.
  #}
  {% set doubles = tf_embeddings._as_list('cast(' ~ vector ~ ' as double[])') %}
  {{ return(
    'case when list_count(' ~ vector ~ ') = len(' ~ vector ~ ') then list_inner_product(' ~ doubles
    ~ ', ' ~ doubles ~ ') end'
  ) }}
{% endmacro %}
