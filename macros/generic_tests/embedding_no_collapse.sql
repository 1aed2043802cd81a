{% test embedding_no_collapse(model, column_name, at_most=0.9, sample=500) %}
  {%- set macro = 'embedding_no_collapse' -%}
  {%- set limit = tf_embeddings._number_argument(
    macro, 'at_most', at_most, -1, 1, 'the most that the mean cosine similarity may be'
  ) -%}
  {%- set sample = tf_embeddings._number_argument(
    macro, 'sample', sample, 2, none, 'how many vectors to compare, each with each', whole=true
  ) -%}
  {%- set squared_norm = tf_embeddings._squared_norm(column_name) -%}

{#- The sample is the first vectors by hash. Only hashes are sorted; the vectors stream by. -#}
with tf_embeddings_tested as (
  select
    {{ column_name }} as embedding,
    {{ tf_embeddings._vector_hash(column_name) }} as vector_hash
  from {{ model }}
  where {{ squared_norm }} > 0 and {{ tf_embeddings._is_finite(squared_norm) }}
),

tf_embeddings_hashes as (
  select vector_hash
  from tf_embeddings_tested
  group by vector_hash
  order by vector_hash
  limit {{ sample }}
),

tf_embeddings_sample as (
  select distinct
    tested.vector_hash,
    tested.embedding
  from tf_embeddings_tested as tested
  inner join tf_embeddings_hashes as hashes
    on tested.vector_hash = hashes.vector_hash
),

tf_embeddings_pairs as (
  select {{ tf_embeddings.cosine_similarity('one.embedding', 'another.embedding') }} as similarity
  from tf_embeddings_sample as one
  inner join tf_embeddings_sample as another
    on one.vector_hash < another.vector_hash
),

tf_embeddings_counted as (
  select
    (select count(*) from tf_embeddings_tested) as vectors,
    (select count(*) from tf_embeddings_sample) as compared_vectors,
    (select avg(similarity) from tf_embeddings_pairs) as mean_of_pairs
),

{#- Rows with a single distinct vector make no pair, and are the worst collapse. #}
tf_embeddings_means as (
  select
    vectors,
    compared_vectors,
    case when vectors > 1 then coalesce(mean_of_pairs, 1) end as mean_cosine_similarity
  from tf_embeddings_counted
)

select *
from tf_embeddings_means
where mean_cosine_similarity > {{ limit }}
{%- endtest %}
