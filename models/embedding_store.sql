{{ config(enabled=var('tf_embeddings_sources', none) is not none) }}

{{
  tf_embeddings.embedding_store(
    var('tf_embeddings_sources', none),
    keep_text=tf_embeddings._settings().keep_text,
  )
}}
