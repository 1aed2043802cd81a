{% macro duckdb__nearest_neighbors(
  queries, corpus, query_id, corpus_id, k, query_embedding, corpus_embedding
) %}
  {#
    min(struct, k) keeps k pairs a query while all pairs stream by. 1,000 queries against 10,000
    vectors of 384 dimensions took no memory to speak of, and 0.85 of the time of `qualify
    row_number()`, which held all 10,000,000 pairs (280 MB); a lateral `limit k` took 60 times as
    long. Nearly all of that time is the similarity itself, so nothing filters on it before the
    aggregate: DuckDB would compute it twice. A vector without direction (zeros, NaN) gives NaN,
    which sorts last and is dropped at the end.
    https://duckdb.org/docs/stable/sql/functions/aggregates#minarg-n
  #}
  {% set similarity = tf_embeddings.cosine_similarity(
    'tf_embeddings_queries.embedding', 'tf_embeddings_corpus.embedding'
  ) %}
  {% set sql %}
with tf_embeddings_queries as (
  select
    {{ query_id }} as query_id,
    {{ query_embedding }} as embedding
  from {{ queries }}
),

tf_embeddings_corpus as (
  select
    {{ corpus_id }} as neighbor_id,
    {{ corpus_embedding }} as embedding
  from {{ corpus }}
),

tf_embeddings_pairs as (
  select
    tf_embeddings_queries.query_id,
    {
      'distance': -{{ similarity }},
      'neighbor_id': tf_embeddings_corpus.neighbor_id
    } as neighbor
  from tf_embeddings_queries
  cross join tf_embeddings_corpus
  where
    tf_embeddings_queries.embedding is not null
    and tf_embeddings_corpus.embedding is not null
),

tf_embeddings_neighbors as (
  select
    query_id,
    unnest(min(neighbor, {{ k }})) as neighbor
  from tf_embeddings_pairs
  group by query_id
)

select
  query_id,
  neighbor.neighbor_id as neighbor_id,
  -neighbor.distance as cosine_similarity,
  row_number() over (
    partition by query_id
    order by neighbor.distance, neighbor.neighbor_id
  ) as neighbor_rank
from tf_embeddings_neighbors
where not isnan(neighbor.distance)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
