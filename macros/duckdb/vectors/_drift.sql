{% macro duckdb___drift(tested, baseline) %}
  {#
    No aggregate adds arrays up, so each component is a row, and streams by. Not materialized: held,
    500,000 vectors of 384 dimensions took twice the memory.
  #}
  {% set sql %}
tf_embeddings_both as not materialized (
  select
    true as is_tested,
    cast(embedding as double[]) as embedding
  from {{ tested }}
  union all
  select
    false as is_tested,
    cast(embedding as double[]) as embedding
  from {{ baseline }}
),

tf_embeddings_components as (
  select
    is_tested,
    generate_subscripts(embedding, 1) as place,
    unnest(embedding) as component
  from tf_embeddings_both
),

tf_embeddings_centroids as (
  select
    place,
    avg(component) filter (where is_tested) as tested,
    avg(component) filter (where not is_tested) as baseline
  from tf_embeddings_components
  group by place
),

tf_embeddings_distance as (
  select
    case
      when count(tested) = count(*) and count(baseline) = count(*)
        then 1 - sum(tested * baseline) / sqrt(sum(tested * tested) * sum(baseline * baseline))
    end as centroid_distance
  from tf_embeddings_centroids
),

tf_embeddings_norms as (
  select
    avg(sqrt({{ tf_embeddings._squared_norm('embedding') }})) filter (where is_tested)
      as mean_norm,
    avg(sqrt({{ tf_embeddings._squared_norm('embedding') }})) filter (where not is_tested)
      as baseline_mean_norm
  from tf_embeddings_both
),

tf_embeddings_drift as (
  select
    *,
    abs(mean_norm / nullif(baseline_mean_norm, 0) - 1) as norm_shift
  from tf_embeddings_distance
  cross join tf_embeddings_norms
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
