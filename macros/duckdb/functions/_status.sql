{% macro duckdb___status(text, pin, macro) %}
  {{ return("struct_extract(" ~ tf_embeddings._outcome(text, pin, macro) ~ ", 'status')") }}
{% endmacro %}
