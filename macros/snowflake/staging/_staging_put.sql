{% macro snowflake___staging_put(path, pin, bytes, dry_run) %}
  {#
    A file on the stage is complete if it has the artifact's size: the name holds the digest of the
    bytes. One of another size is what a broken upload left, and is replaced. The functions that run
    it cannot work, and do again at their next call: Snowflake resolves IMPORTS then. The answer
    lists them.
  #}
  {% set role = tf_embeddings._staging_role() %}
  {% set place = '@' ~ tf_embeddings._stage_name() ~ '/' ~ tf_embeddings._artifact_path(pin) %}
  {% set stage = tf_embeddings._staging_stage(role) %}
  {% if not stage and dry_run %}
    {{ return({'place': place, 'was_there': false, 'size': none, 'broken': []}) }}
  {% endif %}
  {% if not stage %}
    {% do tf_embeddings._staging_create(role) %}
    {% set stage = tf_embeddings._staging_stage(role) or {} %}
  {% endif %}

  {% set sizes = tf_embeddings._staged_sizes(bytes, stage) %}
  {% set size = tf_embeddings._staging_size(pin, role) %}
  {% set broken = [] %}
  {% if size is not none and size not in sizes %}
    {% do broken.extend(tf_embeddings._staging_broken(pin)) %}
  {% endif %}
  {% set found = {'place': place, 'was_there': size in sizes, 'size': size, 'broken': broken} %}
  {% if size in sizes or dry_run %}
    {{ return(found) }}
  {% endif %}

  {% do tf_embeddings._staging_send(path, pin, bytes, role, overwrite=size is not none) %}
  {% set size = tf_embeddings._staging_size(pin, role) %}
  {% if size not in sizes %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ place ~ (" has " ~ size ~ " bytes" if size is not none else " is not there")
      ~ " after the upload of " ~ bytes ~ " bytes. Run it again."
    ) %}
  {% endif %}
  {{ return(found) }}
{% endmacro %}
