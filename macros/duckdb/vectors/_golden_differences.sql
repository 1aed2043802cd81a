{% macro duckdb___golden_differences(matched) %}
  {# list_zip fills the shorter list up with NULLs. #}
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
