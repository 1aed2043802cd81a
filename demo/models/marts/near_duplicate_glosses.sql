{#
  Pairs of definitions that say nearly the same. Nouns and verbs are not compared with each other:
  the block halves what is compared, and more would with more blocks.

  Read what comes out before you delete by it: opposites are written alike, and found here.
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
