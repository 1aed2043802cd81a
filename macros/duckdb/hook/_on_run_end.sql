{% macro duckdb___on_run_end(results) %}
  {# The plugin's own errors say what to do. #}
  {{ return('') }}
{% endmacro %}
