{% macro snowflake___drift(tested, baseline) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_avg #}
  {% set sql %}
  {%- for name, relation in {'tested': tested, 'baseline': baseline}.items() %}
tf_embeddings_{{ name }}_mean as (
  select
    vector_avg(embedding) as centroid,
    avg(sqrt({{ tf_embeddings._squared_norm('embedding') }})) as mean_norm
  from {{ relation }}
),

  {% endfor %}
tf_embeddings_drift as (
  select
    1 - {{ tf_embeddings.cosine_similarity('tested.centroid', 'baseline.centroid') }}
      as centroid_distance,
    tested.mean_norm,
    baseline.mean_norm as baseline_mean_norm,
    abs(tested.mean_norm / nullif(baseline.mean_norm, 0) - 1) as norm_shift
  from tf_embeddings_tested_mean as tested
  cross join tf_embeddings_baseline_mean as baseline
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
