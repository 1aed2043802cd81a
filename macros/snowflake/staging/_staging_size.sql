{% macro _staging_size(pin, role) %}
  {#
    How many bytes the artifact of a pin has on the stage; none if it is not there.
    https://docs.snowflake.com/en/sql-reference/sql/list
  #}
  {% set path = tf_embeddings._artifact_path(pin) %}
  {% set files = tf_embeddings._staging_query(
    'list ' ~ tf_embeddings._stage_location(path),
    'Listing stage ' ~ tf_embeddings._stage_name(),
    next='Let its owner run: grant read, write on stage ' ~ tf_embeddings._stage_name()
    ~ ' to role ' ~ role
  ) %}
  {% for file in files if file.name.endswith('/' ~ path) %}
    {{ return(file.size | int) }}
  {% endfor %}
  {{ return(none) }}
{% endmacro %}
