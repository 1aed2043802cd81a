{% macro duckdb__embed(text, pin) %}
  {{ return("struct_extract(" ~ tf_embeddings._outcome(text, pin) ~ ", 'embedding')") }}
{% endmacro %}
