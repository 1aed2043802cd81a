{# Semantic search: embeds the questions and compares them with every definition. #}
with answers as (
  {{
    tf_embeddings.nearest_neighbors(
      queries=ref('questions'),
      corpus=ref('glosses_embedded'),
      query_id='question_id',
      query_text='question',
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
inner join {{ ref('questions') }} as questions
  on answers.query_id = questions.question_id
inner join {{ ref('glosses_embedded') }} as glosses
  on answers.neighbor_id = glosses.gloss_id
