{% macro _caught(expression) %}
  {#
    The value of a SQL expression, as text, or what Snowflake says where it refuses: no macro can
    catch an error, so a block of Snowflake's own language does.
    https://docs.snowflake.com/en/developer-guide/snowflake-scripting/exceptions
  #}
  {% set sql %}
execute immediate $$
declare
  said varchar;
begin
  select {{ expression }} into :said;
  return said;
exception
  when other then
    return sqlerrm;
end;
$$
  {% endset %}
  {{ return(run_query(sql | trim).rows[0][0] | string) }}
{% endmacro %}
