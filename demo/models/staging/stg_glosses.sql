select
  gloss_id,
  lexname,
  lemma,
  gloss
from {{ ref('glosses') }}
