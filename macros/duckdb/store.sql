{% macro duckdb___store_strategy() %}
  {#
    DuckDB has one writer, so nothing can come between the anti-join and the append. A merge took
    twice as long, and memory for all stored keys.
  #}
  {{ return('append') }}
{% endmacro %}

{% macro duckdb___store_pace() %}
  {{ return({'first': 250, 'seconds': 10}) }}
{% endmacro %}

{% macro duckdb___joinable_vector(vector) %}
  {#
    A LIST: DuckDB 2.0.0 reads uninitialized memory if a left join carries an ARRAY and finds no row
    (`Conversion Error: Cannot cast list with length 0 to array with length 384`).
  #}
  {{ return('cast(' ~ vector ~ ' as float[])') }}
{% endmacro %}

{% macro duckdb___joined_vector(vector, dimensions) %}
  {{ return('cast(' ~ vector ~ ' as ' ~ tf_embeddings._vector_type(dimensions) ~ ')') }}
{% endmacro %}
