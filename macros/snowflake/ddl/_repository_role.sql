{% macro _repository_role() %}
  {#
    The database role that the use of the settings' repository asks for, in creating a function and
    in calling it; none for a repository of the account's own.
    https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
  #}
  {{ return({
    'snowflake.snowpark.anaconda_shared_repository': 'SNOWFLAKE.ANACONDA_REPOSITORY_USER',
    'snowflake.snowpark.pypi_shared_repository': 'SNOWFLAKE.PYPI_REPOSITORY_USER',
  }.get(tf_embeddings._settings().artifact_repository | lower)) }}
{% endmacro %}
