{#
  Pairs of definitions that say nearly the same. Nouns are compared only with nouns, and verbs with
  verbs: the block saves comparisons, and smaller blocks save more.

  Read the pairs before you delete anything: opposites are worded alike, so they are found too.
#}
with pairs as (
  {{
    tf_embeddings.near_duplicates(
      relation=ref('glosses_embedded'),
      id='gloss_id',
      threshold=0.9,
      block="split_part(lexname, '.', 1)",
    )
  }}
)

select
  pairs.id_a as gloss_id,
  pairs.id_b as other_gloss_id,
  glosses.lemma,
  other_glosses.lemma as other_lemma,
  glosses.gloss,
  other_glosses.gloss as other_gloss,
  pairs.cosine_similarity as similarity
from pairs
inner join {{ ref('glosses_embedded') }} as glosses
  on pairs.id_a = glosses.gloss_id
inner join {{ ref('glosses_embedded') }} as other_glosses
  on pairs.id_b = other_glosses.gloss_id
