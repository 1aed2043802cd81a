{% macro snowflake__near_duplicates(rows, threshold) %}
  {#
    A vector without direction is dropped before it meets another; see nearest_neighbors. Without a
    block the join has no equality, and so compares every pair.
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
