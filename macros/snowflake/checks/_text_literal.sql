{% macro snowflake___text_literal(text) %}
  {# https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences #}
  {{ return("'" ~ text.replace('\\', '\\\\').replace("'", "''") ~ "'") }}
{% endmacro %}
