{% macro _vector_length(vector) %}
  {# The number of components of a vector. #}
  {{ return(adapter.dispatch('_vector_length', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___vector_length(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_dimension')) }}
{% endmacro %}
