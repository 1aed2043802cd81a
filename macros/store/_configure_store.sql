{% macro _configure_store(sources, model, keep_text) %}
  {#
    What a store sets at parse time: how dbt builds it, what the operations find in its meta, and,
    through ref() and source(), the edges of the graph. What has another shape is an error of
    _store_sources, but not at parse time.
  #}
  {% set declared = tf_embeddings._declared_sources(sources) %}
  {% for entry in declared %}
    {% for kind in ['ref', 'source'] if kind in entry %}
      {% set name = entry[kind] %}
      {% set is_pair = tf_embeddings._is_list_of_strings(name) and name | length == 2 %}
      {% if is_pair or (kind == 'ref' and name is string and name) %}
        {% do tf_embeddings._source_relation({'kind': kind, 'name': name}) %}
      {% endif %}
    {% endfor %}
  {% endfor %}
  {% do config(
    on_schema_change='append_new_columns',
    post_hook='{{ tf_embeddings._embed_remaining() }}',
    **tf_embeddings._store_config()
  ) %}
  {% do tf_embeddings._mark(
    model, store={'sources': declared, 'model': model, 'keep_text': keep_text}
  ) %}
{% endmacro %}
