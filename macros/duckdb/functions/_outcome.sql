{% macro duckdb___outcome(text, pin, macro, tokens_only) %}
  {# dbt show and run-operation run no hook, so the plugin is looked for here as well. #}
  {% do tf_embeddings._duckdb_plugin(macro) %}
  {{ return(
    tf_embeddings._function_name(pin) ~ '(cast(' ~ text ~ ' as varchar), ' ~ tokens_only | lower
    ~ ')'
  ) }}
{% endmacro %}
