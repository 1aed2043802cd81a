{% test neighbors_recall(model, column_name, id, judged, k=10, at_least=0.8) %}
  {%- set macro = 'neighbors_recall' -%}
  {%- set limit = tf_embeddings._number_argument(
    macro, 'at_least', at_least, 0, 1, 'the least share of the judged pairs that is to be found'
  ) -%}
  {%- set k = tf_embeddings._number_argument(
    macro, 'k', k, 1, none, 'the number of neighbors to look at', whole=true
  ) -%}

with tf_embeddings_tested as (
  {{ tf_embeddings._tested_vectors(macro, model, column_name, id) }}
),

tf_embeddings_judged as (
  select distinct
    judged.query_id,
    judged.neighbor_id
  from (
    {{ tf_embeddings._judged_ids(macro, 'judged', judged, ['query_id', 'neighbor_id']) }}
  ) as judged
),

tf_embeddings_asked as (
  select
    tested.id,
    tested.embedding
  from tf_embeddings_tested as tested
  where tested.id in (select judged.query_id from tf_embeddings_judged as judged)
),

tf_embeddings_found as (
  {{ tf_embeddings.nearest_neighbors(
    queries='tf_embeddings_asked',
    corpus='tf_embeddings_tested',
    query_id='id',
    corpus_id='id',
    k=k,
    query_version=none,
    corpus_version=none,
    exclude_self=true,
  ) }}
),

tf_embeddings_recall as (
  select
    judged.query_id,
    judged.neighbor_id,
    found.neighbor_id is not null as is_found,
    avg(cast(case when found.neighbor_id is null then 0 else 1 end as double)) over () as recall
  from tf_embeddings_judged as judged
  left join tf_embeddings_found as found
    on judged.query_id = found.query_id
    and judged.neighbor_id = found.neighbor_id
)

select
  query_id,
  neighbor_id,
  recall
from tf_embeddings_recall
where recall < {{ limit }} and not is_found
{%- endtest %}
