{#
  The category of each definition, predicted from the categories of its ten nearest neighbors, with
  votes weighted by similarity. One query, without training; its own category does not count.
#}
with neighbors as (
  {{
    tf_embeddings.nearest_neighbors(
      queries=ref('glosses_embedded'),
      corpus=ref('glosses_embedded'),
      query_id='gloss_id',
      corpus_id='gloss_id',
      k=10,
      exclude_self=true,
    )
  }}
),

votes as (
  select
    neighbors.query_id as gloss_id,
    glosses.lexname,
    sum(neighbors.cosine_similarity) as weight
  from neighbors
  inner join {{ ref('glosses_embedded') }} as glosses
    on neighbors.neighbor_id = glosses.gloss_id
  group by neighbors.query_id, glosses.lexname
),

ranked as (
  select
    gloss_id,
    lexname,
    row_number() over (partition by gloss_id order by weight desc, lexname asc) as place
  from votes
)

select
  glosses.gloss_id,
  glosses.lemma,
  glosses.lexname,
  ranked.lexname as predicted_lexname,
  glosses.lexname = ranked.lexname as is_right
from {{ ref('glosses_embedded') }} as glosses
inner join ranked
  on
    glosses.gloss_id = ranked.gloss_id
    and ranked.place = 1
