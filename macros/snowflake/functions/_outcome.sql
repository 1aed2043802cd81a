{% macro snowflake___outcome(text, pin, macro, tokens_only) %}
  {% do tf_embeddings._check_mark(pin, macro) %}
  {{ return(
    tf_embeddings._function_name(pin) ~ '(cast(' ~ text ~ ' as varchar), ' ~ tokens_only | lower
    ~ ')'
  ) }}
{% endmacro %}
