{% macro _staging_target(packages=[]) %}
  {#
    Tells scripts/stage_model.py where the target keeps artifacts, as a line of the log in JSON; see
    _staging_place.
  #}
  {% set place = tf_embeddings._staging_place(packages) %}
  {% set place = dict(
    place, type=target.type, target=target.name, dbt=dbt_version,
    most_dimensions=tf_embeddings._most_dimensions()
  ) %}
  {% do log('tf_embeddings_target ' ~ tojson(place, sort_keys=true), info=true) %}
{% endmacro %}

{% macro _staging_put(path, model, pin, bytes, dry_run=false, resolved=[]) %}
  {#
    Puts an artifact on the stage for scripts/stage_model.py, unless it is there, and answers with a
    line of the log; see _staging_upload.
  #}
  {% set pin = tf_embeddings._checked_pin(model, pin, 'stage_model') %}
  {% set answer = tf_embeddings._staging_upload(path, pin, bytes, dry_run, resolved) %}
  {% do log('tf_embeddings_answer ' ~ tojson(answer, sort_keys=true), info=true) %}
{% endmacro %}

{% macro _verify_staged(model, pin, tolerance=0.00001) %}
  {#
    Verifies a pin for scripts/stage_model.py --verify, which dbt_project.yml need not have yet, and
    answers with a line of the log: what _verify_pin returns. A difference is not an error here, but
    then no function is created.
  #}
  {% set pin = tf_embeddings._checked_pin(model, pin, 'verify') %}
  {% set tolerance = tf_embeddings._tolerance(tolerance) %}
  {% set inventory = tf_embeddings._inventory([pin], 'verify') %}
  {% set outcome = tf_embeddings._verify_pin(pin, tolerance, inventory, grant=false) %}
  {% if not outcome.problem %}
    {% do tf_embeddings._deploy(pin, inventory) %}
  {% endif %}
  {% do log('tf_embeddings_answer ' ~ tojson(outcome, sort_keys=true), info=true) %}
{% endmacro %}
