{% macro verify(model=none, tolerance=0.00001) %}
  {#
    An operation: dbt run-operation tf_embeddings.verify. All the models are looked at, and all that
    differ are named, before it fails.
  #}
  {% set tolerance = tf_embeddings._tolerance(tolerance) %}
  {% set pins = tf_embeddings._pins('verify') if model is none else [] %}
  {% set pins = pins or [tf_embeddings._pin(model, 'verify')] %}

  {% set inventory = tf_embeddings._inventory(pins, 'verify') %}
  {% set problems = [] %}
  {% for pin in pins %}
    {% set outcome = tf_embeddings._verify_pin(pin, tolerance, inventory) %}
    {% do print(outcome.line) %}
    {% if outcome.problem %}
      {% do problems.append(outcome.problem) %}
    {% endif %}
  {% endfor %}
  {% if problems %}
    {% do exceptions.raise_compiler_error(problems | join('\n')) %}
  {% endif %}
{% endmacro %}
