{% test embedding_matches_golden(
  model,
  column_name,
  key,
  golden,
  golden_key=none,
  golden_embedding='embedding',
  tolerance=0.0001
) %}
  {%- set macro = 'embedding_matches_golden' -%}
  {%- set limit = tf_embeddings._number_argument(
    macro, 'tolerance', tolerance, 0, none, 'the most that a component may differ'
  ) -%}
  {%- set tested = tf_embeddings._tested_vectors(macro, model, column_name, key, 'key') -%}
  {%- set golden = tf_embeddings._relation_argument(macro, 'golden', golden) -%}
  {%- set golden_key = tf_embeddings._sql_argument(
    macro, 'golden_key', key if golden_key is none else golden_key
  ) -%}
  {%- set golden_embedding = tf_embeddings._sql_argument(
    macro, 'golden_embedding', golden_embedding
  ) -%}

with tf_embeddings_tested as (
  {{ tested }}
),

tf_embeddings_golden as (
  select
    cast({{ golden_key }} as varchar) as id,
    {{ golden_embedding }} as embedding
  from {{ golden }}
),

{#- An inner join, because DuckDB 2.0.0 cannot carry vectors through a left join. #}
tf_embeddings_matched as (
  select
    golden.id,
    golden.embedding as golden_embedding,
    tested.embedding
  from tf_embeddings_golden as golden
  inner join tf_embeddings_tested as tested
    on golden.id = tested.id
),

tf_embeddings_differences as (
  {{ tf_embeddings._golden_differences('tf_embeddings_matched') }}
)

{#- No golden vectors give one row without a key: a test that compares nothing must fail. #}
select
  golden.id as golden_key,
  differences.largest_difference
from (select 1 as is_there) as always
left join tf_embeddings_golden as golden
  on true
left join tf_embeddings_differences as differences
  on golden.id = differences.id
where
  (
    not coalesce(differences.largest_difference <= {{ limit }}, false)
    or golden.id in (select id from tf_embeddings_matched where embedding is null)
  )
  {%- if tf_embeddings._is_partial_run() %}
  and golden.id in (select id from tf_embeddings_tested)
  {%- endif %}
{%- endtest %}
