{% test embeddings_are_similar(model, column_name, id, pairs, at_least=0.5) %}
  {%- set macro = 'embeddings_are_similar' -%}
  {%- set limit = tf_embeddings._number_argument(
    macro, 'at_least', at_least, -1, 1, 'the least cosine similarity of a pair'
  ) -%}

with tf_embeddings_tested as (
  {{ tf_embeddings._tested_vectors(macro, model, column_name, id) }}
),

tf_embeddings_pairs as (
  {{ tf_embeddings._judged_ids(macro, 'pairs', pairs, ['a', 'b']) }}
),

{#- An inner join first, because DuckDB 2.0.0 cannot carry vectors through a left join. #}
tf_embeddings_similarities as (
  select
    pairs.a,
    pairs.b,
    {{ tf_embeddings.cosine_similarity('one.embedding', 'another.embedding') }} as similarity
  from tf_embeddings_pairs as pairs
  inner join tf_embeddings_tested as one
    on pairs.a = one.id
  inner join tf_embeddings_tested as another
    on pairs.b = another.id
)

select
  pairs.a,
  pairs.b,
  similarities.similarity as cosine_similarity
from tf_embeddings_pairs as pairs
left join tf_embeddings_similarities as similarities
  on pairs.a = similarities.a
  and pairs.b = similarities.b
{#- Not `<`: NULL and NaN must fail. #}
where
  not coalesce(
    {{ tf_embeddings._is_finite('similarities.similarity') }}
    and similarities.similarity >= {{ limit }},
    false
  )
{%- endtest %}
