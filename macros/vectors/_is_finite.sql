{% macro _is_finite(number) %}
  {# Whether a double is neither infinite nor NaN. #}
  {{ return(adapter.dispatch('_is_finite', 'tf_embeddings')(number)) }}
{% endmacro %}

{% macro default___is_finite(number) %}
  {{ return(tf_embeddings._unsupported('embedding_is_finite')) }}
{% endmacro %}
