{% macro _staging_target(packages=[], left_out=[]) %}
  {#
    Tells scripts/stage_model.py where the target keeps artifacts: one line of the log, as JSON.
    The list `engines` says what can run a model there, and `most_dimensions` how many numbers a
    vector can have. What would keep a function with these
    packages from being made is an error already, and what may is in the list `warnings`; `left_out`
    names the checks that the account turned out not to know.
  #}
  {% set place = tf_embeddings._staging_place(packages, left_out) %}
  {% set place = dict(
    place, type=target.type, target=target.name, most_dimensions=tf_embeddings._most_dimensions()
  ) %}
  {% do log('tf_embeddings_target ' ~ tojson(place, sort_keys=true), info=true) %}
{% endmacro %}

{% macro _staging_put(path, model, pin, bytes, dry_run=false) %}
  {#
    Puts an artifact on the stage for scripts/stage_model.py, unless it is there, and answers by one
    line of the log: place, and was_there.
  #}
  {% set pin = tf_embeddings._checked_pin(model, pin, 'stage_model') %}
  {% set answer = tf_embeddings._staging_upload(path, pin, bytes, dry_run) %}
  {% do log('tf_embeddings_answer ' ~ tojson(answer, sort_keys=true), info=true) %}
{% endmacro %}

{% macro _verify_staged(model, pin, tolerance=0.00001) %}
  {#
    What scripts/stage_model.py --verify asks, for a pin that dbt_project.yml need not have yet: one
    line of the log, the report and what _verify_pin makes of it. A difference is no error here, but
    no function is created then.
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
