{% macro duckdb__nearest_neighbors(
  query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
) %}
  {#
    min(struct, k) keeps k pairs a query while all pairs stream by. 1,000 queries against 10,000
    vectors of 384 dimensions took no memory to speak of, and 0.85 of the time of `qualify
    row_number()`, which held all 10,000,000 pairs (280 MB); a lateral `limit k` took 60 times as
    long. Nearly all of that time is the similarity itself, so nothing filters on it before the
    aggregate: DuckDB would compute it twice. A vector without direction (zeros, NaN) gives NaN,
    which sorts last and is dropped at the end. Orders are written out: `default_order` may be desc.

    A filter becomes the condition of a join: equal columns are a hash join. exclude_self stays
    inside the aggregate: as a condition it turned the cross product into a nested loop join, which
    copies the vectors of each pair and took twice the time.
    https://duckdb.org/docs/stable/sql/functions/aggregates#minarg-n
  #}
  {% set corpus_rows = dict(
    corpus_rows, embedding=tf_embeddings._as_list(corpus_rows.embedding)
  ) %}
  {% set similarity =
    'list_cosine_similarity(queries.tf_embeddings_vector, corpus.tf_embeddings_vector)' %}
  {% set sql %}
with {{ tf_embeddings._search_queries(
  'tf_embeddings_every_query', query_rows, model, filter is not none
) }},

tf_embeddings_queries as (
  select
    * replace ({{ tf_embeddings._as_list('tf_embeddings_vector') }} as tf_embeddings_vector)
  from tf_embeddings_every_query
),

tf_embeddings_corpus as (
  {{ tf_embeddings._search_rows(corpus_rows, filter is not none) }}
),

tf_embeddings_pairs as (
  select
    queries.tf_embeddings_id as query_id,
    {
      'distance': -{{ similarity }},
      'neighbor_id': corpus.tf_embeddings_id
    } as neighbor
  from tf_embeddings_queries as queries
  cross join tf_embeddings_corpus as corpus
  where
    corpus.tf_embeddings_vector is not null
    {%- if query_rows.text is none %}
    and queries.tf_embeddings_vector is not null
    {%- endif %}
    {%- if filter is not none %}
    and ({{ filter }})
    {%- endif %}
),

tf_embeddings_neighbors as (
  select
    query_id,
    unnest(
      min(neighbor, {{ k }})
      {%- if exclude_self %}
      filter (where query_id is distinct from neighbor.neighbor_id)
      {%- endif %}
    ) as neighbor
  from tf_embeddings_pairs
  group by query_id
)

select
  query_id,
  neighbor.neighbor_id as neighbor_id,
  -neighbor.distance as cosine_similarity,
  row_number() over (
    partition by query_id
    order by neighbor.distance asc, neighbor.neighbor_id asc
  ) as neighbor_rank
from tf_embeddings_neighbors
where
  not isnan(neighbor.distance)
  {%- if min_similarity is not none %}
  and -neighbor.distance >= {{ min_similarity }}
  {%- endif %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
