{% macro _joinable_vector(vector) %}
  {# A vector as the right side of a left join carries it; _joined_vector makes a vector of it. #}
  {{ return(adapter.dispatch('_joinable_vector', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___joinable_vector(vector) %}
  {{ return(tf_embeddings._unsupported('with_embeddings')) }}
{% endmacro %}
