{% macro _settings() %}
  {#
    Every var of the package with its default: the one place that reads them. They are flat, because
    the vars that a package or `vars: tf_embeddings:` gives are not seen by the nodes of a user.
  #}
  {% set models = tf_embeddings._setting('models', {}, 'mapping', 'a map of model names to pins') %}
  {% set only_model = (models | list)[0] if models | length == 1 else none %}
  {% set a_name = 'a name' %}

  {{ return({
    'models': models,
    'default_model': tf_embeddings._setting('default_model', only_model, 'string', a_name),
    'database': tf_embeddings._setting('database', target.database, 'string', a_name),
    'schema': tf_embeddings._setting('schema', 'tf_embeddings', 'string', a_name),
    'stage': tf_embeddings._setting('stage', 'tf_embeddings_stage', 'string', a_name),
    'runtime_version': tf_embeddings._setting(
      'runtime_version', '3.11', 'string', "a Python version in quotes, such as '3.11'"
    ),
    'artifact_repository': tf_embeddings._setting(
      'artifact_repository',
      'snowflake.snowpark.pypi_shared_repository',
      'string',
      'the name of a package repository',
    ),
    'max_batch_size': tf_embeddings._setting(
      'max_batch_size', 512, 'positive integer', 'a whole number from 1'
    ),
    'grants': tf_embeddings._setting('grants', [], 'strings', 'a list of role names'),
    'manage': tf_embeddings._setting('manage', true, 'boolean', 'true or false'),
  }) }}
{% endmacro %}
