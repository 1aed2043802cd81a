{% test embeddings_are_similar(model, column_name, id, pairs, at_least=0.5) %}
  {%- set macro = 'embeddings_are_similar' -%}
  {%- set limit = tf_embeddings._number_argument(
    macro, 'at_least', at_least, -1, 1, 'the least cosine similarity of a pair'
  ) -%}
  {%- set similarity = tf_embeddings.cosine_similarity('one.embedding', 'another.embedding') -%}

with tf_embeddings_tested as (
  {{ tf_embeddings._tested_vectors(macro, model, column_name, id) }}
),

tf_embeddings_pairs as (
  {{ tf_embeddings._judged_ids(macro, 'pairs', pairs, ['a', 'b']) }}
)

select
  pairs.a,
  pairs.b,
  {{ similarity }} as cosine_similarity
from tf_embeddings_pairs as pairs
left join tf_embeddings_tested as one
  on pairs.a = one.id
left join tf_embeddings_tested as another
  on pairs.b = another.id
{#- Not `<`: a similarity that is NULL or not a number is none. #}
where
  not coalesce(
    {{ tf_embeddings._is_finite(similarity) }} and {{ similarity }} >= {{ limit }}, false
  )
{%- endtest %}
