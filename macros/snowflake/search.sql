{% macro snowflake__cosine_similarity(a, b) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_cosine_similarity #}
  {{ return('vector_cosine_similarity(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}

{% macro snowflake__inner_product(a, b) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_inner_product #}
  {{ return('vector_inner_product(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}

{% macro snowflake__l2_distance(a, b) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_l2_distance #}
  {{ return('vector_l2_distance(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}

{% macro snowflake__nearest_neighbors(
  query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
) %}
  {#
    row_number() compares every pair and breaks ties by neighbor_id; min_by(…, k) would leave ties
    to chance and return an ARRAY of VARIANTs. Vectors without direction are dropped before the
    comparison, with one test a row: no page says what vector_cosine_similarity returns for zeros.
    Vectors from embed have a direction or are NULL, and so is their similarity.
    https://docs.snowflake.com/en/sql-reference/constructs/qualify
  #}
  {% set squared_norm = tf_embeddings._squared_norm('tf_embeddings_vector') %}
  {% set has_direction = squared_norm ~ ' > 0 and ' ~ tf_embeddings._is_finite(squared_norm) %}
  {% set similarity = tf_embeddings.cosine_similarity(
    'queries.tf_embeddings_vector', 'corpus.tf_embeddings_vector'
  ) %}
  {% set conditions = [] if filter is none else ['(' ~ filter ~ ')'] %}
  {% if exclude_self %}
    {% do conditions.append(
      'queries.tf_embeddings_id is distinct from corpus.tf_embeddings_id'
    ) %}
  {% endif %}
  {% set sql %}
with {{ tf_embeddings._search_queries(
  'tf_embeddings_every_query', query_rows, model, filter is not none
) }},

tf_embeddings_whole_corpus as (
  {{ tf_embeddings._search_rows(corpus_rows, filter is not none) }}
),

tf_embeddings_queries as (
  select *
  from tf_embeddings_every_query
  {%- if query_rows.text is none %}
  where {{ has_direction }}
  {%- endif %}
),

tf_embeddings_corpus as (
  select *
  from tf_embeddings_whole_corpus
  where {{ has_direction }}
),

tf_embeddings_pairs as (
  select
    queries.tf_embeddings_id as query_id,
    corpus.tf_embeddings_id as neighbor_id,
    {{ similarity }} as cosine_similarity
  from tf_embeddings_queries as queries
  cross join tf_embeddings_corpus as corpus
  {%- if conditions %}
  where {{ conditions | join(' and ') }}
  {%- endif %}
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
where
  cosine_similarity is not null
  {%- if min_similarity is not none %}
  and cosine_similarity >= {{ min_similarity }}
  {%- endif %}
qualify neighbor_rank <= {{ k }}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro snowflake__near_duplicates(rows, threshold) %}
  {#
    Vectors without direction are dropped first; see nearest_neighbors. Without a block the join has
    no equality, so it compares every pair.
    https://docs.snowflake.com/en/user-guide/query-insights
  #}
  {% set squared_norm = tf_embeddings._squared_norm('tf_embeddings_vector') %}
  {% set similarity = tf_embeddings.cosine_similarity(
    'rows_a.tf_embeddings_vector', 'rows_b.tf_embeddings_vector'
  ) %}
  {% set sql %}
with tf_embeddings_every_row as (
  {{ tf_embeddings._search_rows(rows) }}
),

tf_embeddings_rows as (
  select *
  from tf_embeddings_every_row
  where {{ squared_norm }} > 0 and {{ tf_embeddings._is_finite(squared_norm) }}
),

tf_embeddings_pairs as (
  select
    rows_a.tf_embeddings_id as id_a,
    rows_b.tf_embeddings_id as id_b,
    {{ similarity }} as cosine_similarity
  from tf_embeddings_rows as rows_a
  inner join tf_embeddings_rows as rows_b
    on
      rows_a.tf_embeddings_id < rows_b.tf_embeddings_id
      {%- if rows.block is not none %}
      and rows_a.tf_embeddings_block = rows_b.tf_embeddings_block
      {%- endif %}
)

select
  id_a,
  id_b,
  cosine_similarity
from tf_embeddings_pairs
where cosine_similarity >= {{ threshold }}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
