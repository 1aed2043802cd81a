{% macro duckdb___store_strategy() %}
  {#
    DuckDB has one writer, so that nothing comes in between the anti-join and the append; a merge
    took twice as long, and the memory for all stored keys.
  #}
  {{ return('append') }}
{% endmacro %}
