{% macro _vector_hash(vector) %}
  {# A number that is the same for equal vectors, and orders others as by chance. #}
  {{ return(adapter.dispatch('_vector_hash', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___vector_hash(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_no_collapse')) }}
{% endmacro %}
