{% macro _duckdb_plugin(macro) %}
  {# The configuration of the plugin in the target, whose own entries may be left out. #}
  {% for plugin in target.plugins or [] %}
    {% if plugin.module.split('.') | last == 'tf_embeddings_duckdb' %}
      {{ return(plugin.config or {}) }}
    {% endif %}
  {% endfor %}

  {% do exceptions.raise_compiler_error(
    macro ~ ": target '" ~ target.name ~ "' of profile '" ~ target.profile_name
    ~ "' does not load the plugin tf_embeddings_duckdb. Add it to that target in profiles.yml:\n"
    ~ "module_paths: [" ~ tf_embeddings._package_folder().folder ~ "/udf_src]\n"
    ~ "plugins: [{module: tf_embeddings_duckdb, config: {stage: tf_embeddings_stage}}]"
  ) %}
{% endmacro %}
