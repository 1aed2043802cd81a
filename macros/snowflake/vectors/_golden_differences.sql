{% macro snowflake___golden_differences(matched) %}
  {#
    As arrays: a cast of the JSON to VECTOR would stop the test at one of another length.
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
