{% macro _staging_put(path, model, pin, bytes, dry_run=false) %}
  {#
    Puts an artifact on the stage for scripts/stage_model.py, unless it is there, and answers by one
    line of the log: place, and was_there.
  #}
  {% set pin = tf_embeddings._checked_pin(model, pin, 'stage_model') %}
  {% set answer = adapter.dispatch('_staging_put', 'tf_embeddings')(path, pin, bytes, dry_run) %}
  {% do log('tf_embeddings_answer ' ~ tojson(answer, sort_keys=true), info=true) %}
{% endmacro %}

{% macro default___staging_put(path, pin, bytes, dry_run) %}
  {# The script itself copies files to the folder of a DuckDB target. #}
  {% do exceptions.raise_compiler_error(
    "stage_model: a " ~ target.type ~ " target has no stage to put files on."
  ) %}
{% endmacro %}
