{% macro _configure_store(sources, model, keep_text) %}
  {#
    What a store sets at parse time: how dbt builds it, what the hook and the operations find in its
    meta, and, through ref() and source(), the edges of the graph. A relation that is passed as an
    object is not known yet: at parse time it is the model itself.
  #}
  {% do tf_embeddings._mark(model) %}
  {% set settings = tf_embeddings._settings() %}
  {% set declared = [] %}
  {% set entries = [sources] if sources is mapping else sources %}
  {% for entry in (entries if entries is sequence and entries is not string else [])
    if entry is mapping %}
    {% if entry.ref %}
      {% do tf_embeddings._source_relation({'kind': 'ref', 'name': entry.ref}) %}
    {% elif entry.source %}
      {% do tf_embeddings._source_relation({'kind': 'source', 'name': entry.source}) %}
    {% endif %}
    {% set relation = entry.get('relation') %}
    {% do declared.append(
      dict(entry, relation=none) if relation is not none and relation is not string else entry
    ) %}
  {% endfor %}
  {% do config(
    materialized='incremental',
    incremental_strategy=tf_embeddings._store_strategy(),
    unique_key=['text_hash', 'model_version'],
    on_schema_change='append_new_columns',
    full_refresh=none if settings.full_refresh else false,
    meta={'tf_embeddings_store': {'sources': declared, 'model': model, 'keep_text': keep_text}},
  ) %}
{% endmacro %}
