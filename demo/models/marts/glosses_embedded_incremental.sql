{#
  The recipe for a large source: embed what is new and what has changed, and embed everything again
  when the pin names another version of the model, because vectors of two versions do not compare.

  Only the text is compared, so the table holds only the key and the text beside the vector: join
  the other columns to it by gloss_id, and they are never out of date.

  A gloss that is deleted upstream stays here. Where that matters, inner join to stg_glosses, or
  run with --full-refresh now and then. A model of another number of dimensions gives the column
  another type: the run fails and changes nothing, until it has --full-refresh.
#}
{{
  config(
    materialized='incremental',
    unique_key='gloss_id',
    on_schema_change='fail',
  )
}}

with glosses as (
  select
    gloss_id,
    gloss
  from {{ ref('stg_glosses') }}
),

to_embed as (
  select glosses.*
  from glosses
  {% if is_incremental() %}
    left join {{ this }} as embedded
      on
        glosses.gloss_id = embedded.gloss_id
        and glosses.gloss is not distinct from embedded.gloss
        and embedded.model_version = {{ tf_embeddings.embedding_version() }}
    where embedded.gloss_id is null
  {% endif %}
)

select
  gloss_id,
  gloss,
  {{ tf_embeddings.embed('gloss') }} as embedding,
  {{ tf_embeddings.embedding_version() }} as model_version,
  {{ dbt.current_timestamp() }} as embedded_at
from to_embed
