{% macro _settings() %}
  {#
    Every var of the package with its default: the one place that reads them. They are flat, because
    the default vars that a package brings are not seen by the nodes of a user.
  #}
  {% set models = tf_embeddings._setting('models', {}, 'mapping', 'a map of model names to pins') %}
  {% set only_model = (models | list)[0] if models | length == 1 else none %}
  {% set identifier = 'a name of 1 to 255 characters without backslashes, $$ and line breaks' %}

  {% set settings = {
    'models': models,
    'default_model': tf_embeddings._setting('default_model', only_model, 'string', 'a name'),
    'sources': tf_embeddings._setting(
      'sources', none, 'sources', 'a list of maps, such as {ref: tickets, column: body}'
    ),
    'keep_text': tf_embeddings._setting('keep_text', false, 'boolean', 'true or false'),
    'max_new_texts': tf_embeddings._setting(
      'max_new_texts', none, 'count', 'a whole number from 1'
    ),
    'portion': tf_embeddings._setting(
      'portion', none, 'portion', 'a whole number, 0 for all new texts in one statement'
    ),
    'shared_store': tf_embeddings._setting(
      'shared_store', none, 'relation', 'schema.name or database.schema.name'
    ),
    'full_refresh': tf_embeddings._setting('full_refresh', false, 'boolean', 'true or false'),
    'database': tf_embeddings._setting('database', target.database, 'identifier', identifier),
    'schema': tf_embeddings._setting('schema', 'tf_embeddings', 'identifier', identifier),
    'stage': tf_embeddings._setting('stage', 'models', 'identifier', identifier),
    'stage_encryption': tf_embeddings._setting(
      'stage_encryption', 'SNOWFLAKE_SSE', ['SNOWFLAKE_SSE', 'SNOWFLAKE_FULL'],
      'SNOWFLAKE_SSE or SNOWFLAKE_FULL'
    ),
    'runtime_version': tf_embeddings._setting(
      'runtime_version', '3.11', ['3.11', '3.12', '3.13', 3.11, 3.12, 3.13], '3.11, 3.12 or 3.13'
    ) | string,
    'artifact_repository': tf_embeddings._setting(
      'artifact_repository', 'snowflake.snowpark.pypi_shared_repository', 'repository',
      'snowflake.snowpark.pypi_shared_repository, snowflake.snowpark.anaconda_shared_repository '
      ~ 'or the name of another one, as database.schema.name'
    ),
    'max_batch_size': tf_embeddings._setting(
      'max_batch_size', 512, 'rows', 'a whole number from 1 to 4096'
    ),
    'grants': tf_embeddings._setting(
      'grants', [], 'identifiers', 'a list of roles, such as [analyst, reporter]'
    ),
    'manage': tf_embeddings._setting(
      'manage', true, 'targets',
      'true or false, or the list of the targets that do, such as [admin]'
    ),
    'managers': [],
  } %}
  {# dbt renders no Jinja in vars, so what differs by target is a list of targets. #}
  {% if settings.manage is not boolean %}
    {% do settings.update({
      'manage': target.name in settings.manage, 'managers': settings.manage
    }) %}
  {% endif %}
  {{ return(settings) }}
{% endmacro %}
