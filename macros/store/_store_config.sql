{% macro _store_config() %}
  {# How dbt builds a store: what nobody may change without embedding again, or twice. #}
  {{ return({
    'materialized': 'incremental',
    'incremental_strategy': tf_embeddings._store_strategy(),
    'unique_key': ['text_hash', 'model_version'],
    'full_refresh': none if tf_embeddings._settings().full_refresh else false,
  }) }}
{% endmacro %}
