{% macro duckdb__token_count(text, pin) %}
  {{ return(
    "struct_extract(" ~ tf_embeddings._outcome(text, pin, 'token_count', tokens_only=true)
    ~ ", 'token_count')"
  ) }}
{% endmacro %}
