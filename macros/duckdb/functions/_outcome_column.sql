{% macro duckdb___outcome_column(outcome, column, pin) %}
  {{ return('struct_extract(' ~ outcome ~ ", '" ~ column ~ "')") }}
{% endmacro %}
