{% test embeddings_keep_order(model, column_name, id, triples) %}
  {%- set macro = 'embeddings_keep_order' -%}

with tf_embeddings_tested as (
  {{ tf_embeddings._tested_vectors(macro, model, column_name, id) }}
),

tf_embeddings_triples as (
  {{ tf_embeddings._judged_ids(macro, 'triples', triples, ['a', 'b', 'c']) }}
),

tf_embeddings_similarities as (
  select
    triples.a,
    triples.b,
    triples.c,
    {{ tf_embeddings.cosine_similarity('one.embedding', 'near.embedding') }} as similarity_to_b,
    {{ tf_embeddings.cosine_similarity('one.embedding', 'far.embedding') }} as similarity_to_c
  from tf_embeddings_triples as triples
  left join tf_embeddings_tested as one
    on triples.a = one.id
  left join tf_embeddings_tested as near
    on triples.b = near.id
  left join tf_embeddings_tested as far
    on triples.c = far.id
)

select *
from tf_embeddings_similarities
{#- Not `<=`: a similarity that is NULL or not a number has no order. #}
where
  not coalesce(
    similarity_to_b > similarity_to_c
    and {{ tf_embeddings._is_finite('similarity_to_b') }}
    and {{ tf_embeddings._is_finite('similarity_to_c') }},
    false
  )
{%- endtest %}
