{% macro _golden_differences(matched) %}
  {#
    A query of the largest difference of a component for each id: of the vector `embedding` and the
    JSON text `golden_embedding`. Infinite or NULL where they do not compare: one of them is NULL or
    no JSON, they differ in length, a component is no number.
  #}
  {{ return(adapter.dispatch('_golden_differences', 'tf_embeddings')(matched)) }}
{% endmacro %}

{% macro default___golden_differences(matched) %}
  {{ return(tf_embeddings._unsupported('embedding_matches_golden')) }}
{% endmacro %}
