{% set sources = tf_embeddings._scoped_vars(['sources']).sources %}
{{ config(enabled=sources is not none) }}

{{ tf_embeddings.embedding_store(sources, keep_text=tf_embeddings._settings().keep_text) }}
