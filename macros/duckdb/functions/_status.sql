{% macro duckdb___status(text, pin) %}
  {% do tf_embeddings._duckdb_plugin('embedding_coverage') %}
  {{ return("struct_extract(" ~ tf_embeddings._outcome(text, pin) ~ ", 'status')") }}
{% endmacro %}
