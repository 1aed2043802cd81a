{% macro _staging_send(path, pin, bytes, role, overwrite) %}
  {#
    The upload itself. PUT succeeds as a statement whatever becomes of the file: the row tells.
    https://docs.snowflake.com/en/sql-reference/sql/put
  #}
  {% set folder = [pin.model, pin.version] | join('/') %}
  {% set file = 'file://' ~ path.replace('\\', '\\\\').replace("'", "\\'") %}
  {% do log('tf_embeddings_upload ' ~ tojson({'bytes': bytes}), info=true) %}
  {% set rows = tf_embeddings._staging_query(
    "put '" ~ file ~ "' " ~ tf_embeddings._stage_location(folder ~ '/')
    ~ ' auto_compress = false overwrite = ' ~ overwrite | lower ~ ' parallel = 8',
    'Putting the artifact on stage ' ~ tf_embeddings._stage_name(),
    next='Let its owner run: grant read, write on stage ' ~ tf_embeddings._stage_name()
    ~ ' to role ' ~ role
  ) %}
  {% do log('tf_embeddings_uploaded', info=true) %}
  {% for row in rows if row.status | upper not in ['UPLOADED', 'SKIPPED'] %}
    {% do exceptions.raise_compiler_error(
      "stage_model: putting the artifact on stage " ~ tf_embeddings._stage_name() ~ " ended with "
      ~ row.status ~ ": " ~ row.message ~ ". Run it again."
    ) %}
  {% endfor %}
{% endmacro %}
