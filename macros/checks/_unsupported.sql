{% macro _unsupported(macro) %}
  {# What every default__ gives. A project must still parse for a target that embeds nothing. #}
  {% if execute %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": tf_embeddings does not run on " ~ target.type ~ " (it runs on: duckdb, "
      ~ "snowflake). Choose a target of that type with --target."
    ) %}
  {% endif %}
  {{ return('null') }}
{% endmacro %}
