{% test embedding_drift(
  model,
  column_name,
  baseline,
  baseline_column=none,
  max_centroid_distance=0.05,
  max_norm_shift=0.05
) %}
  {%- set macro = 'embedding_drift' -%}
  {%- set distance = tf_embeddings._number_argument(
    macro, 'max_centroid_distance', max_centroid_distance, 0, 2,
    '1 minus the cosine similarity of the two mean vectors'
  ) -%}
  {%- set shift = tf_embeddings._number_argument(
    macro, 'max_norm_shift', max_norm_shift, 0, none,
    'the share by which the mean length of the vectors may differ'
  ) -%}
  {%- set baseline = tf_embeddings._relation_argument(macro, 'baseline', baseline) -%}
  {%- if baseline_column is not none -%}
    {%- set baseline_column = tf_embeddings._sql_argument(
      macro, 'baseline_column', baseline_column
    ) -%}
  {%- endif -%}

with tf_embeddings_tested as (
  select {{ column_name }} as embedding
  from {{ model }}
  where {{ column_name }} is not null
),

tf_embeddings_baseline as (
  select {{ baseline_column or column_name }} as embedding
  from {{ baseline }}
  where {{ baseline_column or column_name }} is not null
),

{{ tf_embeddings._drift('tf_embeddings_tested', 'tf_embeddings_baseline') }}

select *
from tf_embeddings_drift
{#- Not `>`: without vectors on a side the distance is NULL, and the test must fail. #}
where
  not coalesce(centroid_distance <= {{ distance }} and norm_shift <= {{ shift }}, false)
  {%- if tf_embeddings._is_partial_run() %}
  and mean_norm is not null and baseline_mean_norm is not null
  {%- endif %}
{%- endtest %}
