{% macro _stage_name() %}
  {# The stage of the artifacts, with its database and schema, as SQL. #}
  {% set stage = tf_embeddings._identifier(tf_embeddings._settings().stage) %}
  {{ return(tf_embeddings._schema_name() ~ '.' ~ stage) }}
{% endmacro %}
