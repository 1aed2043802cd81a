{% macro duckdb__near_duplicates(rows, threshold) %}
  {#
    The filter stands in an aggregate, where DuckDB does not make it a condition of the join: that
    would be a nested loop, which copies the vectors of each pair and computes their similarity
    twice. So all pairs stream out of a cross product, and those that are found are kept: 18,000,000
    pairs of 384 dimensions took half the time. With a block the join is a hash join. Above 2 is NaN
    alone, which a vector without direction gives and DuckDB sorts above all numbers.
    The vectors are lists before they meet, which took two thirds of the time of ARRAYs.
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
