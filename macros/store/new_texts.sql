{% macro _new_texts(sources, pin, shared) %}
  {#
    CTEs that end in tf_embeddings_unknown: the distinct texts, by their hash, that neither the
    store nor the shared one has a row of this version for. tf_embeddings_distinct has those that
    the store lacks.

    Measured on DuckDB with 1,000,000 texts, a tenth of them distinct: as a `left join … is null`
    the anti-join streams before the grouping, which then holds the new texts alone (`not exists`
    hashed every text twice); grouped by hash and text, which is the same as by hash, it took a
    third of the memory of any_value(text). The shared store is named where it is read: as a CTE
    that is used twice, DuckDB held all its vectors.
  #}
  {% set sql %}
tf_embeddings_texts as (
{{ tf_embeddings._store_texts(sources) }}
),

tf_embeddings_hashed as (
  select
    {{ tf_embeddings.text_hash('text') }} as text_hash,
    text
  from tf_embeddings_texts
  where text is not null
),

{{ tf_embeddings._distinct_texts(pin, is_incremental()) }},

tf_embeddings_unknown as (
  select
    tf_embeddings_distinct.text_hash,
    tf_embeddings_distinct.text
  from tf_embeddings_distinct
  {%- if shared %}
  left join {{ shared }} as tf_embeddings_shared
    on
      tf_embeddings_distinct.text_hash = tf_embeddings_shared.text_hash
      and tf_embeddings_shared.model_version = '{{ pin.version }}'
      and tf_embeddings_shared.status in ('ok', 'blank')
  where tf_embeddings_shared.text_hash is null
  {%- endif %}
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _distinct_texts(pin, has_store) %}
  {#
    The CTE of the distinct texts that the store has no row of this version for; on a first run,
    when it has none at all, of all of them.
  #}
  {% set sql %}
tf_embeddings_distinct as (
  select
    tf_embeddings_hashed.text_hash,
    tf_embeddings_hashed.text
  from tf_embeddings_hashed
  {%- if has_store %}
  left join {{ this }} as tf_embeddings_store
    on
      tf_embeddings_hashed.text_hash = tf_embeddings_store.text_hash
      and tf_embeddings_store.model_version = '{{ pin.version }}'
  where tf_embeddings_store.text_hash is null
  {%- endif %}
  group by tf_embeddings_hashed.text_hash, tf_embeddings_hashed.text
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

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

{% macro _stored_type(relation) %}
  {# The type of a store's vectors, as _vector_type writes it, without spaces; none without one. #}
  {% for column in adapter.get_columns_in_relation(relation)
    if column.name | lower == 'embedding' %}
    {{ return(column.data_type | lower | replace(' ', '')) }}
  {% endfor %}
  {{ return(none) }}
{% endmacro %}
