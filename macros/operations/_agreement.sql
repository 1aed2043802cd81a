{% macro _agreement(one, another, k, sample) %}
  {#
    A query of the five texts for which two sides of _stored_version agree least, with the totals
    of all that were compared in each row. Only the hashes of the common texts are held; the vectors
    stream by. A text has fewer than k neighbors where the store has few.
  #}
  {% set sides = {'one': one, 'another': another} %}
  {% set sql %}
with tf_embeddings_both as (
  select one.text_hash
  from {{ one.table }} as one
  inner join {{ another.table }} as another
    on one.text_hash = another.text_hash
  where
    one.model_version = '{{ one.version }}'
    and another.model_version = '{{ another.version }}'
    and one.embedding is not null
    and another.embedding is not null
),

tf_embeddings_compared as (
  select text_hash
  from tf_embeddings_both
  order by text_hash
  limit {{ sample }}
),

  {% for name, side in sides.items() %}
    {% set vectors = [] %}
    {% for wanted in ['tf_embeddings_compared', 'tf_embeddings_both'] %}
      {% set query %}
select
  stored.text_hash,
  stored.embedding
from {{ side.table }} as stored
inner join {{ wanted }} as wanted
  on stored.text_hash = wanted.text_hash
where stored.model_version = '{{ side.version }}'
      {% endset %}
      {% do vectors.append(query) %}
    {% endfor %}
tf_embeddings_{{ name }} as (
  {{ tf_embeddings.nearest_neighbors(
    queries=vectors[0],
    corpus=vectors[1],
    query_id='text_hash',
    corpus_id='text_hash',
    k=k,
    query_version=none,
    corpus_version=none,
    exclude_self=true,
  ) }}
),

  {% endfor %}
tf_embeddings_agreement as (
  select
    one.query_id as text_hash,
    cast(count(another.neighbor_id) as double) / count(*) as recall,
    max(
      case when one.neighbor_rank = 1 and another.neighbor_rank = 1 then 1.0 else 0.0 end
    ) as is_same_nearest
  from tf_embeddings_one as one
  left join tf_embeddings_another as another
    on one.query_id = another.query_id
    and one.neighbor_id = another.neighbor_id
  group by one.query_id
),

tf_embeddings_totals as (
  select
    (select count(*) from tf_embeddings_both) as texts,
    count(*) as compared,
    avg(recall) as mean_recall,
    avg(is_same_nearest) as same_nearest
  from tf_embeddings_agreement
),

tf_embeddings_least as (
  select
    text_hash,
    recall
  from tf_embeddings_agreement
  order by recall asc, text_hash asc
  limit 5
)

select
  least_alike.text_hash,
  least_alike.recall,
  {% set texts = [] %}
  {% for name, side in sides.items() if side.has_text %}
    {% do texts.append(name ~ '.text') %}
  {% endfor %}
  {{ 'coalesce(' ~ (texts + ['null']) | join(', ') ~ ')' if texts else 'null' }} as text,
  totals.*
from tf_embeddings_least as least_alike
cross join tf_embeddings_totals as totals
  {% for name, side in sides.items() if side.has_text %}
left join {{ side.table }} as {{ name }}
  on least_alike.text_hash = {{ name }}.text_hash
  and {{ name }}.model_version = '{{ side.version }}'
  {% endfor %}
order by least_alike.recall asc, least_alike.text_hash asc
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
