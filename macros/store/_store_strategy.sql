{% macro _store_strategy() %}
  {#
    How dbt adds the new rows to a store. DuckDB has one writer, so that nothing comes in between
    the anti-join and the append; a merge took twice as long, and the memory for all stored keys.
  #}
  {{ return(adapter.dispatch('_store_strategy', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___store_strategy() %}
  {{ return('append') }}
{% endmacro %}
