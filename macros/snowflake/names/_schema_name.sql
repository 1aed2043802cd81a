{% macro _schema_name() %}
  {# The schema of the stage and the functions, with its database, as SQL. #}
  {% set settings = tf_embeddings._settings() %}
  {{ return(
    tf_embeddings._identifier(settings.database) ~ '.' ~ tf_embeddings._identifier(settings.schema)
  ) }}
{% endmacro %}
