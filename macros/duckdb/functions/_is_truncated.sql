{% macro duckdb___is_truncated(text, pin, macro) %}
  {{ return(
    "struct_extract(" ~ tf_embeddings._outcome(text, pin, macro, tokens_only=true)
    ~ ", 'is_truncated')"
  ) }}
{% endmacro %}
