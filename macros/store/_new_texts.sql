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
