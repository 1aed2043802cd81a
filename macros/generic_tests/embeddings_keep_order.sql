{% test embeddings_keep_order(model, column_name, id, triples) %}
  {%- set macro = 'embeddings_keep_order' -%}

with tf_embeddings_tested as (
  {{ tf_embeddings._tested_vectors(macro, model, column_name, id) }}
),

tf_embeddings_triples as (
  {{ tf_embeddings._judged_ids(macro, 'triples', triples, ['a', 'b', 'c']) }}
),

tf_embeddings_pairs as (
  select
    a as one,
    b as another
  from tf_embeddings_triples
  union
  select
    a as one,
    c as another
  from tf_embeddings_triples
),

{#- An inner join first, because DuckDB 2.0.0 cannot carry vectors through a left join. #}
tf_embeddings_known as (
  select
    pairs.one,
    pairs.another,
    {{ tf_embeddings.cosine_similarity('one.embedding', 'another.embedding') }} as similarity
  from tf_embeddings_pairs as pairs
  inner join tf_embeddings_tested as one
    on pairs.one = one.id
  inner join tf_embeddings_tested as another
    on pairs.another = another.id
),

tf_embeddings_similarities as (
  select
    triples.a,
    triples.b,
    triples.c,
    near.similarity as similarity_to_b,
    far.similarity as similarity_to_c
  from tf_embeddings_triples as triples
  left join tf_embeddings_known as near
    on triples.a = near.one
    and triples.b = near.another
  left join tf_embeddings_known as far
    on triples.a = far.one
    and triples.c = far.another
)

select *
from tf_embeddings_similarities
{#- Not `<=`: NULL and NaN must fail. #}
where
  not coalesce(
    similarity_to_b > similarity_to_c
    and {{ tf_embeddings._is_finite('similarity_to_b') }}
    and {{ tf_embeddings._is_finite('similarity_to_c') }},
    false
  )
{%- endtest %}
