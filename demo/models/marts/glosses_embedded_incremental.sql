{#
  The recipe for a large source: embed new and changed texts, and re-embed everything when the
  pin's version changes, because vectors of two versions cannot be compared.

  Only the text is compared, so the table holds only the key and the text beside the vector. Join
  other columns by gloss_id; they are then never out of date.

  A gloss that is deleted upstream stays here. If that matters, inner join to stg_glosses, or run
  with --full-refresh now and then. A model with a different number of dimensions changes the
  column's type: the run then fails and changes nothing, until you use --full-refresh.
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
