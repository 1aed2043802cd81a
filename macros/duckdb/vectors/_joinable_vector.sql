{% macro duckdb___joinable_vector(vector) %}
  {#
    A LIST. DuckDB 2.0.0 reads memory that nobody wrote where a left join carries an ARRAY and finds
    no row: `Conversion Error: Cannot cast list with length 0 to array with length 384`.
  #}
  {{ return('cast(' ~ vector ~ ' as float[])') }}
{% endmacro %}
