{% macro snowflake___text_literal(text) %}
  {# https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences #}
  {{ return("'" ~ text.replace('\\', '\\\\').replace("'", "''") ~ "'") }}
{% endmacro %}

{% macro snowflake___vector_length(vector) %}
  {# https://docs.snowflake.com/en/sql-reference/data-types-vector#vector-conversion #}
  {{ return('array_size(cast(' ~ vector ~ ' as array))') }}
{% endmacro %}

{% macro snowflake___squared_norm(vector) %}
  {#
    The vector functions are exact to 1e-4. No page says that their sums have more than 32 bits: a
    vector with a component above 1e19 may count as infinite, and one with none above 1e-23 as zero.
    https://docs.snowflake.com/en/sql-reference/functions/vector_inner_product
  #}
  {{ return('vector_inner_product(' ~ vector ~ ', ' ~ vector ~ ')') }}
{% endmacro %}

{% macro snowflake___is_finite(number) %}
  {#
    NaN is greater than every other number, infinity included.
    https://docs.snowflake.com/en/sql-reference/data-types-numeric#special-values
  #}
  {{ return(
    '(' ~ number ~ " > cast('-inf' as float) and " ~ number ~ " < cast('inf' as float))"
  ) }}
{% endmacro %}

{% macro snowflake___vector_hash(vector) %}
  {#
    Of an ARRAY: hash takes any type, but no page names VECTOR.
    https://docs.snowflake.com/en/sql-reference/functions/hash
  #}
  {{ return('hash(cast(' ~ vector ~ ' as array))') }}
{% endmacro %}

{% macro snowflake___golden_differences(matched) %}
  {#
    As arrays: casting the JSON to VECTOR would fail at a vector of a different length.
    https://docs.snowflake.com/en/sql-reference/functions/flatten
    https://docs.snowflake.com/en/sql-reference/functions/as_double-real
  #}
  {% set sql %}
select
  matched.id,
  max(coalesce(
    case
      when array_size(matched.golden) = array_size(matched.tested) then abs(
        as_double(component.value) - as_double(get(matched.golden, component.index))
      )
    end,
    cast('inf' as float)
  )) as largest_difference
from (
  select
    id,
    cast(embedding as array) as tested,
    to_array(try_parse_json(golden_embedding)) as golden
  from {{ matched }}
) as matched,
lateral flatten(input => matched.tested) as component
group by matched.id
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

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
