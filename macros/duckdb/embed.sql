{% macro duckdb__embed(text, pin) %}
  {# dbt show and run-operation run no hook, so the plugin is looked for here as well. #}
  {% do tf_embeddings._duckdb_plugin('embed') %}
  {{ return("struct_extract(" ~ tf_embeddings._outcome(text, pin) ~ ", 'embedding')") }}
{% endmacro %}
