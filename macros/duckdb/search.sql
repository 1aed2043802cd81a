{% macro duckdb__cosine_similarity(a, b) %}
  {{ return(tf_embeddings._of_lists('list_cosine_similarity', a, b)) }}
{% endmacro %}

{% macro duckdb__inner_product(a, b) %}
  {{ return(tf_embeddings._of_lists('list_inner_product', a, b)) }}
{% endmacro %}

{% macro duckdb__l2_distance(a, b) %}
  {{ return(tf_embeddings._of_lists('list_distance', a, b)) }}
{% endmacro %}

{% macro _of_lists(function, a, b) %}
  {#
    A function of two vectors, with DuckDB's functions of lists, because vectors from Parquet or a
    Python model are FLOAT[] or DOUBLE[]. Different lengths are an error. These functions refuse
    NULLs, even those that an ARRAY or a file holds beneath a NULL vector; `|| []` copies only what
    belongs to a vector. For pairs of 384 dimensions that takes as long as the similarity itself, so
    searches copy each vector once, before the join.
    https://duckdb.org/docs/stable/sql/functions/list
  #}
  {{ return(function ~ '(' ~ tf_embeddings._as_list(a) ~ ', ' ~ tf_embeddings._as_list(b) ~ ')') }}
{% endmacro %}

{% macro _as_list(vector) %}
  {# A vector of any type as a list that its functions accept; see _of_lists. #}
  {{ return('((' ~ vector ~ ') || [])') }}
{% endmacro %}

{% macro duckdb__nearest_neighbors(
  query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
) %}
  {#
    min(struct, k) keeps k pairs a query while all pairs stream by. 1,000 queries against 10,000
    vectors of 384 dimensions took hardly any memory, and 0.85 of the time of `qualify
    row_number()`, which held all 10,000,000 pairs (280 MB); a lateral `limit k` took 60 times as
    long. Nearly all of that time is the similarity itself, so nothing filters on it before the
    aggregate: DuckDB would compute it twice. A vector without direction (zeros, NaN) gives NaN,
    which sorts last and is dropped at the end. `asc` is explicit: `default_order` may be desc.

    A filter becomes a condition of the join: equal columns make a hash join. exclude_self stays in
    the aggregate: as a condition it made the cross product a nested loop join, which copies the
    vectors of each pair and took twice the time.
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

{% macro duckdb__near_duplicates(rows, threshold) %}
  {#
    The filter is in an aggregate, where DuckDB cannot move it into the join: that would be a nested
    loop, which copies the vectors of each pair and computes their similarity twice. So all pairs
    stream out of a cross product, in half the time for 18,000,000 pairs of 384 dimensions. With a
    block the join is a hash join. `and 2` excludes NaN, which vectors without direction give and
    DuckDB sorts above all numbers. Vectors become lists before the join, which took two thirds of
    the time of ARRAYs.
    https://duckdb.org/docs/stable/sql/data_types/numeric#floating-point-types
  #}
  {% set rows = dict(rows, embedding=tf_embeddings._as_list(rows.embedding)) %}
  {% set similarity =
    'list_cosine_similarity(rows_a.tf_embeddings_vector, rows_b.tf_embeddings_vector)' %}
  {% set in_order = 'rows_a.tf_embeddings_id < rows_b.tf_embeddings_id' %}
  {% set sql %}
with tf_embeddings_rows as (
  {{ tf_embeddings._search_rows(rows) }}
),

tf_embeddings_pairs as (
  select
    rows_a.tf_embeddings_id as id_a,
    rows_b.tf_embeddings_id as id_b,
    {%- if rows.block is none %}
    case when {{ in_order }} then {{ similarity }} end as cosine_similarity
  from tf_embeddings_rows as rows_a
  cross join tf_embeddings_rows as rows_b
    {%- else %}
    {{ similarity }} as cosine_similarity
  from tf_embeddings_rows as rows_a
  inner join tf_embeddings_rows as rows_b
    on
      rows_a.tf_embeddings_block = rows_b.tf_embeddings_block
      and {{ in_order }}
    {%- endif %}
),

tf_embeddings_similar as (
  select
    id_a,
    unnest(
      list({'id_b': id_b, 'cosine_similarity': cosine_similarity})
      filter (where cosine_similarity between {{ threshold }} and 2)
    ) as pair
  from tf_embeddings_pairs
  group by id_a
)

select
  id_a,
  pair.id_b as id_b,
  pair.cosine_similarity as cosine_similarity
from tf_embeddings_similar
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
