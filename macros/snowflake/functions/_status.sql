{% macro snowflake___status(text, pin, macro) %}
  {# The function is strict: it is not called for a NULL, and gives no outcome for it. #}
  {{ return(
    "coalesce(as_varchar(get(" ~ tf_embeddings._outcome(text, pin, macro)
    ~ ", 'status')), 'null')"
  ) }}
{% endmacro %}
