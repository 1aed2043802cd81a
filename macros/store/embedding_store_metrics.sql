{% macro embedding_store_metrics(store) %}
  {% set store = tf_embeddings._relation_argument('embedding_store_metrics', 'store', store) %}
  {% set pinned = [] %}
  {% if execute %}
    {% set pins = tf_embeddings._pins('embedding_store_metrics') %}
    {% do pinned.extend(pins | map(attribute='version')) %}
  {% endif %}
  {% set sql %}
with tf_embeddings_runs as (
  select
    model,
    model_version,
    invocation_id,
    min(embedded_at) as embedded_at,
    count(*) as texts,
    count_if(status = 'blank') as blank,
    count_if(status = 'error') as failed,
    count_if(is_truncated) as truncated,
    sum(token_count) as tokens
  from {{ store }}
  group by model, model_version, invocation_id
)

select
  *,
  sum(texts) over (
    partition by model_version
    order by embedded_at asc, invocation_id asc, model asc
  ) as total_texts,
  model_version in ('{{ pinned | unique | join("', '") }}') as is_current
from tf_embeddings_runs
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
