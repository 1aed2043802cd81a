{% macro duckdb___outcome(text, pin) %}
  {{ return(tf_embeddings._function_name(pin) ~ '(cast(' ~ text ~ ' as varchar))') }}
{% endmacro %}
