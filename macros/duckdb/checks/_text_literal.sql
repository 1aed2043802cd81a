{% macro duckdb___text_literal(text) %}
  {#
    A backslash is a character as any other.
    https://duckdb.org/docs/stable/sql/data_types/literal_types#string-literals
  #}
  {{ return("'" ~ text.replace("'", "''") ~ "'") }}
{% endmacro %}
