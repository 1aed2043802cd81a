{% macro snowflake__embed(text, pin) %}
  {#
    as_array turns the null inside an object, which is not SQL's, into a NULL.
    https://docs.snowflake.com/en/sql-reference/functions/as_array
  #}
  {{ return(
    'cast(as_array(get(' ~ tf_embeddings._outcome(text, pin) ~ ", 'embedding')) as "
    ~ tf_embeddings._vector_type(pin.dimensions) ~ ')'
  ) }}
{% endmacro %}
