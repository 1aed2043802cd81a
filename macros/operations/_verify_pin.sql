{% macro _verify_pin(pin, tolerance, inventory, grant=true) %}
  {#
    Has a staged artifact embed its golden texts where it is deployed. Returns a map of: report,
    what it said; line, the same to read; problem, a sentence where it is not as when it was built.
    See _golden_report for the other arguments.
  #}
  {% set report = fromjson(tf_embeddings._golden_report(pin, inventory, grant)) %}
  {% set difference = report.largest_difference %}
  {% set within = tf_embeddings._scientific(tolerance) %}
  {# An artifact of 0.1 brings a runtime that says `tensorflow`, its version. #}
  {% set engine = 'LiteRT' if report.engine == 'litert' else 'TensorFlow' %}
  {% set runs_on = engine ~ " " ~ (report.engine_version or report.tensorflow) ~ ", Python "
    ~ report.python ~ ", NumPy " ~ report.numpy ~ ", " ~ report.processor %}
  {% set line = [
    pin.model ~ " " ~ pin.version ~ " " ~ pin.build ~ ": " ~ report.texts ~ " texts",
    "largest difference " ~ tf_embeddings._scientific(difference) ~ " (tolerance " ~ within ~ ")",
    runs_on,
    (report.memory_bytes or 0) | filesizeformat ~ " of memory",
  ] | join(', ') %}

  {% set wrong = none %}
  {% if [report.model, report.version, report.build] != [pin.model, pin.version, pin.build] %}
    {% set wrong = "is staged as model '" ~ report.model ~ "', version " ~ report.version
      ~ ", build " ~ report.build ~ ". Stage it again with: " %}
  {% elif report.mismatches %}
    {% set wrong = "gives " ~ report.mismatches | length ~ " of its " ~ report.texts
      ~ " golden texts a vector or a number of tokens that they did not have when it was built, "
      ~ "on " ~ runs_on ~ ". Pin the versions of its packages that it was built with, or stage it "
      ~ "again with: " %}
  {% elif not (difference is number and difference <= tolerance) %}
    {% set wrong = "gives other vectors than when it was built: a component differs by "
      ~ tf_embeddings._scientific(difference) ~ ", more than the tolerance of " ~ within ~ ", on "
      ~ runs_on ~ ". Pin the versions of its packages that it was built with, or stage it again "
      ~ "with: " %}
  {% endif %}
  {% set problem = none if wrong is none else "verify: model '" ~ pin.model ~ "' (version "
    ~ pin.version ~ ", build " ~ pin.build ~ ") " ~ wrong
    ~ tf_embeddings._stage_command(pin.model) %}
  {{ return({'report': report, 'line': line, 'problem': problem}) }}
{% endmacro %}
