{% macro _shared_store(pin, store) %}
  {#
    The relation of var tf_embeddings_shared_store, or none where `store` has nothing to copy from.
  #}
  {% set name = tf_embeddings._settings().shared_store %}
  {% set is_unit_test = model is defined and model.resource_type == 'unit_test' %}
  {% if name is none or is_unit_test or flags.WHICH not in [
    'run', 'build', 'compile', 'show', 'run-operation'
  ] %}
    {{ return(none) }}
  {% endif %}
  {% set parts = name.split('.') %}
  {% set shared = adapter.get_relation(
    parts[-3] if parts | length == 3 else target.database, parts[-2], parts[-1]
  ) %}
  {% if not shared %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: var tf_embeddings_shared_store is '" ~ name ~ "', and there is no such "
      ~ "relation, or this role may not read it. Build that store first, or leave the var out."
    ) %}
  {% endif %}
  {% if shared | string | lower | replace('"', '') == store | string | lower | replace('"', '') %}
    {{ return(none) }}
  {% endif %}

  {% set stored = tf_embeddings._stored_type(shared) %}
  {% set type = tf_embeddings._vector_type(pin.dimensions) | replace(' ', '') %}
  {% if stored != type %}
    {% do log(
      "embedding_store: nothing is copied from " ~ shared ~ ", whose column embedding is "
      ~ (stored or "not there") ~ "; the vectors of model '" ~ pin.model ~ "' are " ~ type,
      info=true
    ) %}
    {{ return(none) }}
  {% endif %}
  {% set count = 'select count(*) - count(distinct text_hash) from ' ~ shared
    ~ " where model_version = '" ~ pin.version ~ "' and status in ('ok', 'blank')" %}
  {% if flags.WHICH in ['run', 'build'] and run_query(count).rows[0][0] %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ shared ~ ", the relation of var tf_embeddings_shared_store, has texts "
      ~ "more than once, and every row of such a text would be there twice. Name one store, which "
      ~ "has each text once."
    ) %}
  {% endif %}
  {{ return(shared) }}
{% endmacro %}
