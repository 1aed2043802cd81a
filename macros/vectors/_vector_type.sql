{% macro _vector_type(dimensions) %}
  {{ return(adapter.dispatch('_vector_type', 'tf_embeddings')(dimensions)) }}
{% endmacro %}

{% macro default___vector_type(dimensions) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}
