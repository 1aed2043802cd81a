{% test embedding_is_not_constant(model, column_name, tolerance=0.00001) %}
  {%- set limit = tf_embeddings._number_argument(
    'embedding_is_not_constant', 'tolerance', tolerance, 0, none,
    'the largest distance at which two vectors are equal'
  ) -%}
  {%- set distance = tf_embeddings.l2_distance('tested.embedding', 'any_one.embedding') -%}

{#-
  Each vector is compared with any one of them: a count of distinct vectors would hold them all.
  Equal vectors with NaN have no distance, hence `=`.
-#}
with tf_embeddings_tested as (
  select {{ column_name }} as embedding
  from {{ model }}
  where {{ column_name }} is not null
),

tf_embeddings_any as (
  select embedding
  from tf_embeddings_tested
  limit 1
),

tf_embeddings_counted as (
  select
    count(*) as vectors,
    count(
      case
        when tested.embedding = any_one.embedding or {{ distance }} <= {{ limit }} then 1
      end
    ) as equal_vectors
  from tf_embeddings_tested as tested
  cross join tf_embeddings_any as any_one
)

select *
from tf_embeddings_counted
where vectors > 1 and vectors = equal_vectors
{%- endtest %}
