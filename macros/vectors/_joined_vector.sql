{% macro _joined_vector(vector, dimensions) %}
  {# What _joinable_vector gave, after the join: the vector, or NULL where no row was found. #}
  {{ return(adapter.dispatch('_joined_vector', 'tf_embeddings')(vector, dimensions)) }}
{% endmacro %}

{% macro default___joined_vector(vector, dimensions) %}
  {{ return(tf_embeddings._unsupported('with_embeddings')) }}
{% endmacro %}
