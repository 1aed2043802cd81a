{% macro _new_texts(sources, pin, shared) %}
  {#
    CTEs that end in tf_embeddings_unknown: the distinct texts, by hash, of which neither the store
    nor the shared store has a row of this version. tf_embeddings_distinct has those that the store
    lacks.

    Measured on DuckDB with 1,000,000 texts, a tenth of them distinct: a `left join … is null`
    streams before the grouping, which then holds only new texts (`not exists` hashed every text
    twice). Grouping by hash and text gives the same rows as by hash, in a third of the memory of
    any_value(text). The shared store is not a CTE: DuckDB held all vectors of one used twice.
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
    The CTE of the distinct texts of which the store has no row of this version: all of them on a
    first run, when there is no store.
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
    The relation of var tf_embeddings_shared_store, or none if `store` cannot copy from it.
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
      "embedding_store: var tf_embeddings_shared_store is '" ~ name ~ "', a relation that does not "
      ~ "exist or that this role may not read. Build that store first, or remove the var."
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
  {% if tf_embeddings._is_run() and run_query(count).rows[0][0] %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ shared ~ ", the relation of var tf_embeddings_shared_store, has texts "
      ~ "more than once, and all their rows would be copied. Name a store: it has each text once."
    ) %}
  {% endif %}
  {{ return(shared) }}
{% endmacro %}

{% macro _stored_type(relation) %}
  {# The type of a store's vectors, as _vector_type without spaces; none without such a column. #}
  {% for column in adapter.get_columns_in_relation(relation)
    if column.name | lower == 'embedding' %}
    {{ return(column.data_type | lower | replace(' ', '')) }}
  {% endfor %}
  {{ return(none) }}
{% endmacro %}
