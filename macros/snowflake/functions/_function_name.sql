{% macro snowflake___function_name(pin, kind='embed') %}
  {#
    With a digest of all that the function is, so that other settings make another function beside
    the one that running queries use, and none is ever replaced. Names count as Snowflake stores
    them: targets that write one database in two ways share one function.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set path = tf_embeddings._artifact_path(pin) %}
  {% set stored = [path] %}
  {% for name in [settings.database, settings.schema, settings.stage] %}
    {% do stored.append(tf_embeddings._stored_name(name)) %}
  {% endfor %}
  {% set repository = 'artifact_repository = ' ~ settings.artifact_repository %}
  {% set definition = tf_embeddings._function_definition(pin, kind).replace(
    tf_embeddings._stage_location(path), tojson(stored)
  ).replace(repository, repository | lower) %}

  {% set digest = local_md5(definition)[:8] %}
  {% set prefix = 'tf_embeddings_verify' if kind == 'verify' else 'tf_embeddings' %}
  {{ return(
    tf_embeddings._schema_name() ~ '.' ~ [prefix, pin.model, pin.build, digest] | join('_')
  ) }}
{% endmacro %}
