{% macro _squared_norm(vector) %}
  {#
    The sum of the squares of a vector's components, in double precision: exact enough to compare,
    and finite exactly where every component is. Null for a vector with a null component.
  #}
  {{ return(adapter.dispatch('_squared_norm', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___squared_norm(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_is_finite')) }}
{% endmacro %}
