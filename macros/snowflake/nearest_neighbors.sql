{% macro snowflake__nearest_neighbors(
  queries, corpus, query_id, corpus_id, k, query_embedding, corpus_embedding
) %}
  {#
    row_number() compares every pair and breaks ties by neighbor_id; min_by(…, k) would leave ties
    to chance, and give an ARRAY of VARIANTs. A vector without direction is dropped before it meets
    another, one test a row: no page says what vector_cosine_similarity gives for zeros.
    https://docs.snowflake.com/en/sql-reference/constructs/qualify
  #}
  {% set squared_norm = tf_embeddings._squared_norm('embedding') %}
  {% set has_direction = squared_norm ~ ' > 0 and ' ~ tf_embeddings._is_finite(squared_norm) %}
  {% set similarity = tf_embeddings.cosine_similarity(
    'tf_embeddings_queries.embedding', 'tf_embeddings_corpus.embedding'
  ) %}
  {% set sql %}
with tf_embeddings_every_query as (
  select
    {{ query_id }} as query_id,
    {{ query_embedding }} as embedding
  from {{ queries }}
),

tf_embeddings_whole_corpus as (
  select
    {{ corpus_id }} as neighbor_id,
    {{ corpus_embedding }} as embedding
  from {{ corpus }}
),

tf_embeddings_queries as (
  select *
  from tf_embeddings_every_query
  where {{ has_direction }}
),

tf_embeddings_corpus as (
  select *
  from tf_embeddings_whole_corpus
  where {{ has_direction }}
),

tf_embeddings_pairs as (
  select
    tf_embeddings_queries.query_id,
    tf_embeddings_corpus.neighbor_id,
    {{ similarity }} as cosine_similarity
  from tf_embeddings_queries
  cross join tf_embeddings_corpus
)

select
  query_id,
  neighbor_id,
  cosine_similarity,
  row_number() over (
    partition by query_id
    order by cosine_similarity desc, neighbor_id
  ) as neighbor_rank
from tf_embeddings_pairs
qualify neighbor_rank <= {{ k }}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
