{{
  config(
    enabled=var('tf_embeddings_sources', none) is not none,
    materialized='view',
  )
}}

{{ tf_embeddings.embedding_store_metrics(ref('embedding_store')) }}
