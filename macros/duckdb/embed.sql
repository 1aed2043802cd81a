{% macro duckdb___vector_type(dimensions) %}
  {{ return('float[' ~ dimensions ~ ']') }}
{% endmacro %}

{% macro duckdb___most_dimensions() %}
  {# https://duckdb.org/docs/stable/sql/data_types/array: ArrayType::MAX_ARRAY_SIZE #}
  {{ return(100000) }}
{% endmacro %}

{% macro duckdb__text_hash(text) %}
  {# https://duckdb.org/docs/stable/sql/functions/text#sha256value #}
  {{ return('sha256(cast(' ~ text ~ ' as varchar))') }}
{% endmacro %}

{% macro duckdb___function_name(pin) %}
  {{ return('tf_embeddings_' ~ [pin.model, pin.version, pin.build] | join('_')) }}
{% endmacro %}

{% macro duckdb___outcome(text, pin, macro, tokens_only) %}
  {# dbt show and run-operation run no hook, so the plugin is checked here too. #}
  {% do tf_embeddings._duckdb_plugin(macro) %}
  {{ return(
    tf_embeddings._function_name(pin) ~ '(cast(' ~ text ~ ' as varchar), ' ~ tokens_only | lower
    ~ ')'
  ) }}
{% endmacro %}

{% macro duckdb___outcome_column(outcome, column, pin) %}
  {% if column == 'score' %}
    {{ return('array_extract(struct_extract(' ~ outcome ~ ", 'embedding'), 1)") }}
  {% endif %}
  {{ return('struct_extract(' ~ outcome ~ ", '" ~ column ~ "')") }}
{% endmacro %}

{% macro duckdb___status(text, pin, macro) %}
  {% set outcome = tf_embeddings._outcome(text, pin, macro) %}
  {{ return(tf_embeddings._outcome_column(outcome, 'status', pin)) }}
{% endmacro %}

{% macro _duckdb_plugin(macro) %}
  {# The config of the plugin in the target; a plugin without config has all defaults. #}
  {% if tf_embeddings._is_v2() %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": dbt " ~ dbt_version ~ " loads no Python plugins, so models cannot run on DuckDB. "
      ~ 'Use dbt Core 1.x there: pip install "dbt-core>=1.11,<2" dbt-duckdb'
    ) %}
  {% endif %}
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
