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
