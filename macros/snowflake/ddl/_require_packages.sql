{% macro _require_packages(packages, what) %}
  {#
    TensorFlow Text is not in Anaconda's channel, and LiteRT is not known to be: a function could
    not be created, or not run. What a repository of the account's own has is its owner's to know.
  #}
  {% set repository = tf_embeddings._settings().artifact_repository | lower %}
  {% if repository != 'snowflake.snowpark.anaconda_shared_repository' %}
    {{ return('') }}
  {% endif %}
  {% set next_step = "Set var tf_embeddings_artifact_repository to "
    ~ "snowflake.snowpark.pypi_shared_repository" %}
  {% for package in packages %}
    {% set name = tf_embeddings._package_name(package) %}
    {% if name == 'tensorflow-text' %}
      {% do exceptions.raise_compiler_error(
        what ~ " needs the Python package " ~ name ~ ", which " ~ repository ~ " does not have. "
        ~ next_step ~ "."
      ) %}
    {% elif name == 'ai-edge-litert' %}
      {% do exceptions.raise_compiler_error(
        what ~ " needs the Python package " ~ name ~ ", which " ~ repository ~ " is not known to "
        ~ "have. " ~ next_step ~ ", or stage the model again with --engine tensorflow."
      ) %}
    {% endif %}
  {% endfor %}
{% endmacro %}
