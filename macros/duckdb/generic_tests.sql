{% macro duckdb___text_literal(text) %}
  {#
    A backslash is an ordinary character.
    https://duckdb.org/docs/stable/sql/data_types/literal_types#string-literals
  #}
  {{ return("'" ~ text.replace("'", "''") ~ "'") }}
{% endmacro %}

{% macro duckdb___vector_length(vector) %}
  {{ return('len(' ~ vector ~ ')') }}
{% endmacro %}

{% macro duckdb___squared_norm(vector) %}
  {#
    list_inner_product refuses a NULL: the case keeps out those in a vector, and _as_list those
    beneath a NULL vector.
  #}
  {% set doubles = tf_embeddings._as_list('cast(' ~ vector ~ ' as double[])') %}
  {{ return(
    'case when list_count(' ~ vector ~ ') = len(' ~ vector ~ ') then list_inner_product(' ~ doubles
    ~ ', ' ~ doubles ~ ') end'
  ) }}
{% endmacro %}

{% macro duckdb___is_finite(number) %}
  {{ return('isfinite(' ~ number ~ ')') }}
{% endmacro %}

{% macro duckdb___vector_hash(vector) %}
  {{ return('hash(' ~ vector ~ ')') }}
{% endmacro %}

{% macro duckdb___golden_differences(matched) %}
  {# list_zip pads the shorter list with NULLs. #}
  {% set sql %}
select
  id,
  max(list_max([
    coalesce(abs(pair[1] - pair[2]), cast('infinity' as double))
    for pair in list_zip(
      cast(embedding as double[]), try_cast(golden_embedding as double[])
    )
  ])) as largest_difference
from {{ matched }}
group by id
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro duckdb___drift(tested, baseline) %}
  {#
    No aggregate adds arrays, so each component becomes a row and streams by. Not materialized:
    materialized, 500,000 vectors of 384 dimensions took twice the memory. The distance is NULL if a
    place has fewer numbers than there are vectors: lists of different lengths, or with a NULL.
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
    avg(component) filter (where not is_tested) as baseline,
    count(component) filter (where is_tested) as tested_numbers,
    count(component) filter (where not is_tested) as baseline_numbers
  from tf_embeddings_components
  group by place
),

tf_embeddings_norms as (
  select
    avg(sqrt({{ tf_embeddings._squared_norm('embedding') }})) filter (where is_tested)
      as mean_norm,
    avg(sqrt({{ tf_embeddings._squared_norm('embedding') }})) filter (where not is_tested)
      as baseline_mean_norm,
    count(*) filter (where is_tested) as tested_vectors,
    count(*) filter (where not is_tested) as baseline_vectors
  from tf_embeddings_both
),

tf_embeddings_distance as (
  select
    case
      when bool_and(tested_numbers = tested_vectors and baseline_numbers = baseline_vectors)
        then 1 - sum(tested * baseline) / sqrt(sum(tested * tested) * sum(baseline * baseline))
    end as centroid_distance
  from tf_embeddings_centroids
  cross join tf_embeddings_norms
),

tf_embeddings_drift as (
  select
    distance.centroid_distance,
    norms.mean_norm,
    norms.baseline_mean_norm,
    abs(norms.mean_norm / nullif(norms.baseline_mean_norm, 0) - 1) as norm_shift
  from tf_embeddings_distance as distance
  cross join tf_embeddings_norms as norms
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
