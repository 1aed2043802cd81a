with questions as (
  select
    question_id,
    question,
    {{ tf_embeddings.embed('question') }} as embedding
  from {{ ref('questions') }}
),

answers as (
  {{
    tf_embeddings.nearest_neighbors(
      queries='questions',
      corpus=ref('glosses_embedded'),
      query_id='question_id',
      corpus_id='gloss_id',
      k=3,
    )
  }}
)

select
  questions.question_id,
  questions.question,
  answers.neighbor_rank as rank,
  glosses.gloss_id,
  glosses.lemma,
  glosses.gloss,
  answers.cosine_similarity as similarity
from answers
inner join questions
  on answers.query_id = questions.question_id
inner join {{ ref('glosses_embedded') }} as glosses
  on answers.neighbor_id = glosses.gloss_id
