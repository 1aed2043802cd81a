{% macro _store_strategy() %}
  {# How dbt adds the new rows to a store. #}
  {{ return(adapter.dispatch('_store_strategy', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___store_strategy() %}
  {{ return(tf_embeddings._unsupported('embedding_store')) }}
{% endmacro %}
