{% macro snowflake___status(text, pin) %}
  {# The function is strict: it is not called for a NULL, and gives no outcome for it. #}
  {% do tf_embeddings._check_mark(pin) %}
  {{ return(
    "coalesce(as_varchar(get(" ~ tf_embeddings._outcome(text, pin) ~ ", 'status')), 'null')"
  ) }}
{% endmacro %}
