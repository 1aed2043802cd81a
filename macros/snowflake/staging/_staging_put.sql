{% macro snowflake___staging_put(path, pin, bytes, dry_run) %}
  {#
    A file on the stage is complete if it has the artefact's size: the name holds the digest of the
    bytes. One of another size is what a broken upload left, and is replaced, unless a function
    runs it: Snowflake resolves IMPORTS at call time.
  #}
  {% set role = tf_embeddings._staging_role() %}
  {% set place = '@' ~ tf_embeddings._stage_name() ~ '/' ~ tf_embeddings._artefact_path(pin) %}
  {% set stage = tf_embeddings._staging_stage(role) %}
  {% if not stage and dry_run %}
    {{ return({'place': place, 'was_there': false}) }}
  {% endif %}
  {% if not stage %}
    {% do tf_embeddings._staging_create(role) %}
    {% set stage = tf_embeddings._staging_stage(role) or {} %}
  {% endif %}

  {# Client-side encryption, of which the type says nothing, fills the last block of 16 bytes. #}
  {% set sizes = [bytes] %}
  {% if 'NO CSE' not in stage.type | default('') | string | upper %}
    {% do sizes.append(bytes // 16 * 16 + 16) %}
  {% endif %}
  {% set size = tf_embeddings._staging_size(pin, role) %}
  {% if size in sizes or dry_run %}
    {{ return({'place': place, 'was_there': size in sizes}) }}
  {% endif %}
  {% if size is not none %}
    {% do tf_embeddings._staging_require_unused(pin, place, size, bytes) %}
  {% endif %}

  {% do tf_embeddings._staging_send(path, pin, bytes, role, overwrite=size is not none) %}
  {% set size = tf_embeddings._staging_size(pin, role) %}
  {% if size not in sizes %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ place ~ (" has " ~ size ~ " bytes" if size is not none else " is not there")
      ~ " after the upload of " ~ bytes ~ " bytes. Run it again."
    ) %}
  {% endif %}
  {{ return({'place': place, 'was_there': false}) }}
{% endmacro %}
