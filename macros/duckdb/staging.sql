{% macro duckdb___staging_place(packages) %}
  {% set config = tf_embeddings._duckdb_plugin('stage_model') %}
  {{ return({
    'stage': config.get('stage', 'tf_embeddings_stage'),
    'engines': ['litert', 'tensorflow'],
  }) }}
{% endmacro %}
