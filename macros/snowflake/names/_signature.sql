{% macro _signature(function) %}
  {#
    The types of a function's arguments, as DROP and GRANT take them, from its row of SHOW
    FUNCTIONS, whose arguments are such as: NAME(VARCHAR, BOOLEAN) RETURN OBJECT.
    https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
  #}
  {% set signature = function.arguments[function.name | length:].split(' RETURN')[0] %}
  {{ return(modules.re.sub('[(][0-9, ]+[)]', '', signature) | lower) }}
{% endmacro %}
