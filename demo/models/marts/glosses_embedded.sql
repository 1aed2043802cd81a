select
  *,
  {{ tf_embeddings.embed('gloss') }} as embedding
from {{ ref('stg_glosses') }}
