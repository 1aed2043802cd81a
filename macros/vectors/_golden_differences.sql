{% macro _golden_differences(matched) %}
  {#
    A query of the largest difference of a component for each id: of the vector `embedding` and the
    JSON text `golden_embedding`. Infinite where they differ in length or a component is no number;
    there is none where one of the two is NULL or no JSON.
  #}
  {{ return(adapter.dispatch('_golden_differences', 'tf_embeddings')(matched)) }}
{% endmacro %}

{% macro default___golden_differences(matched) %}
  {{ return(tf_embeddings._unsupported('embedding_matches_golden')) }}
{% endmacro %}
