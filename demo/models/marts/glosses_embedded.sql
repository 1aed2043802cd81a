{# Every definition with its vector from the store; nothing is embedded here. #}
{{
  tf_embeddings.with_embeddings(
    relation=ref('stg_glosses'),
    text='gloss',
    store=ref('embedding_store'),
  )
}}
