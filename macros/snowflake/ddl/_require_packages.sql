{% macro _require_packages(packages, what) %}
  {#
    TensorFlow Text is not in Anaconda's channel: a function could not be created, or not run. What
    a repository of the account's own has is its owner's to know.
  #}
  {% set repository = tf_embeddings._settings().artifact_repository | lower %}
  {% if repository != 'snowflake.snowpark.anaconda_shared_repository' %}
    {{ return('') }}
  {% endif %}
  {% set names = packages | map('replace', '_', '-') | map('lower') | list %}
  {% for name in names if name.split('==') | first == 'tensorflow-text' %}
    {% do exceptions.raise_compiler_error(
      what ~ " needs the Python package tensorflow-text, which " ~ repository ~ " does not have. "
      ~ "Set var tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository."
    ) %}
  {% endfor %}
{% endmacro %}
