{% macro _configure_store(sources, model, keep_text) %}
  {#
    What a store sets at parse time: how dbt builds it, what the hook and the operations find in its
    meta, and, through ref() and source(), the edges of the graph. A relation that is passed as an
    object is not known yet: at parse time it is the model itself.
  #}
  {% set declared = [] %}
  {% set entries = [sources] if sources is mapping else sources %}
  {% for entry in (entries if entries is sequence and entries is not string else [])
    if entry is mapping %}
    {# What has another shape is an error of _store_sources, but not at parse time. #}
    {% for kind in ['ref', 'source'] if kind in entry %}
      {% set name = entry[kind] %}
      {% set is_pair = tf_embeddings._is_list_of_strings(name) and name | length == 2 %}
      {% if is_pair or (kind == 'ref' and name is string and name) %}
        {% do tf_embeddings._source_relation({'kind': kind, 'name': name}) %}
      {% endif %}
    {% endfor %}
    {% set relation = entry.get('relation') %}
    {% do declared.append(
      dict(entry, relation=none) if relation is not none and relation is not string else entry
    ) %}
  {% endfor %}
  {% set full_refresh = tf_embeddings._settings().full_refresh %}
  {% do config(
    materialized='incremental',
    incremental_strategy=tf_embeddings._store_strategy(),
    unique_key=['text_hash', 'model_version'],
    on_schema_change='append_new_columns',
    full_refresh=none if full_refresh else false,
    meta={'tf_embeddings_store': {'sources': declared, 'model': model, 'keep_text': keep_text}},
  ) %}
{% endmacro %}
