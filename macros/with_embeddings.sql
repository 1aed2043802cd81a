{% macro with_embeddings(relation, text, store, model=none) %}
  {% set text = tf_embeddings._sql_argument('with_embeddings', 'text', text) %}
  {% set relation = tf_embeddings._relation_argument('with_embeddings', 'relation', relation) %}
  {% set store = tf_embeddings._relation_argument('with_embeddings', 'store', store) %}
  {% set sql %}
with tf_embeddings_rows as (
  select
    *,
    {{ tf_embeddings.text_hash(text) }} as tf_embeddings_hash
  from {{ relation }}
),

tf_embeddings_store as (
  select
    text_hash as tf_embeddings_store_hash,
    embedding,
    model_version
  from {{ store }}
  where model_version = {{ tf_embeddings.embedding_version(model) }}
)

select
  * exclude (tf_embeddings_hash, tf_embeddings_store_hash)
from tf_embeddings_rows
left join tf_embeddings_store
  on tf_embeddings_hash = tf_embeddings_store_hash
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
