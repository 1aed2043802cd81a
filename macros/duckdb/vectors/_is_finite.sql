{% macro duckdb___is_finite(number) %}
  {{ return('isfinite(' ~ number ~ ')') }}
{% endmacro %}
