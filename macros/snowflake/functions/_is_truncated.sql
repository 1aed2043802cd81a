{% macro snowflake___is_truncated(text, pin, macro) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/as_boolean #}
  {{ return(
    'as_boolean(get(' ~ tf_embeddings._outcome(text, pin, macro, tokens_only=true)
    ~ ", 'is_truncated'))"
  ) }}
{% endmacro %}
