{{
  config(
    enabled=tf_embeddings._scoped_vars(['sources']).sources is not none,
    materialized='view',
  )
}}

{{ tf_embeddings.embedding_store_metrics(ref('embedding_store')) }}
