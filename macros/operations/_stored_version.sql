{% macro _stored_version(model, argument, store) %}
  {#
    One side of compare_versions, as a map of: name, to read; version; store and table, its name
    and its relation; texts, how many of them have a vector there; and text, the column, or none.
    An older version of a model has no pin any more, so a version may be named as well.
  #}
  {% if model is string and modules.re.fullmatch('v[0-9a-f]{12}', model)
    and model not in tf_embeddings._settings().models %}
    {% set version, name = model, 'version ' ~ model %}
  {% else %}
    {% if not model %}
      {% do exceptions.raise_compiler_error(
        "compare_versions: " ~ argument ~ " is " ~ model | pprint ~ "; it must be the name of a "
        ~ "model in var tf_embeddings_models, or a version in a store, 'v' and 12 hex digits."
      ) %}
    {% endif %}
    {% set pin = tf_embeddings._pin(model, 'compare_versions') %}
    {% set version, name = pin.version, pin.model ~ ' ' ~ pin.version %}
  {% endif %}

  {% set found = tf_embeddings._named_store(store, 'compare_versions', reads_sources=false) %}
  {% if not found.table %}
    {% do exceptions.raise_compiler_error(
      "compare_versions: store '" ~ found.name ~ "' is not built yet. Build it with: dbt run "
      ~ "--select " ~ found.name
    ) %}
  {% endif %}
  {% set count = 'select count(*) from ' ~ found.table ~ " where model_version = '" ~ version
    ~ "' and embedding is not null" %}
  {% set columns = adapter.get_columns_in_relation(found.table) | map(attribute='name') %}
  {{ return({
    'name': name,
    'version': version,
    'store': found.name,
    'table': found.table,
    'texts': run_query(count).rows[0][0],
    'has_text': 'text' in columns | map('lower') | list,
  }) }}
{% endmacro %}
