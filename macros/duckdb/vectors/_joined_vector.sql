{% macro duckdb___joined_vector(vector, dimensions) %}
  {{ return('cast(' ~ vector ~ ' as ' ~ tf_embeddings._vector_type(dimensions) ~ ')') }}
{% endmacro %}
