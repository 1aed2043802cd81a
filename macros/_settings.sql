{% macro _settings() %}
  {#
    Every var of the package with its default: the one place that reads them. They are flat, because
    the vars that a package or `vars: tf_embeddings:` gives are not seen by the nodes of a user.
  #}
  {% set models = tf_embeddings._setting('models', {}, 'mapping', 'a map of model names to pins') %}
  {% set only_model = (models | list)[0] if models | length == 1 else none %}

  {{ return({
    'models': models,
    'default_model': tf_embeddings._setting('default_model', only_model, 'string', 'a name'),
  }) }}
{% endmacro %}
