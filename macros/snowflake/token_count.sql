{% macro snowflake__token_count(text, pin) %}
  {#
    as_integer turns the null inside an object, which is not SQL's, into a NULL.
    https://docs.snowflake.com/en/sql-reference/functions/as_integer
  #}
  {{ return(
    'cast(as_integer(get(' ~ tf_embeddings._outcome(text, pin, 'token_count', tokens_only=true)
    ~ ", 'token_count')) as integer)"
  ) }}
{% endmacro %}
