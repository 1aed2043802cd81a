{% macro verify(model=none, tolerance=0.00001) %}
  {#
    An operation: dbt run-operation tf_embeddings.verify. It checks all models before it fails, and
    names all that differ.
  #}
  {% set tolerance = tf_embeddings._tolerance(tolerance) %}
  {% set pins = tf_embeddings._pins('verify') if model is none else [] %}
  {% set pins = pins or [tf_embeddings._pin(model, 'verify', takes='any')] %}

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

{% macro _verify_pin(pin, tolerance, inventory, grant=true) %}
  {#
    Has a staged artifact embed its golden texts where it is deployed. Returns a map: report, the
    runtime's answer; line, the same in words; problem, a sentence if it differs from when it was
    built. See _golden_report for the other arguments.
  #}
  {% set report = fromjson(tf_embeddings._golden_report(pin, inventory, grant)) %}
  {% set difference = report.largest_difference %}
  {% set within = tf_embeddings._scientific(tolerance) %}
  {# The runtime in an artifact of 0.1 reports `tensorflow`, its version, instead of the engine. #}
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
      ~ "on " ~ runs_on ~ ". Pin the package versions that it was built with, or stage it again "
      ~ "with: " %}
  {% elif not (difference is number and difference <= tolerance) %}
    {% set wrong = "gives other vectors than when it was built: a component differs by "
      ~ tf_embeddings._scientific(difference) ~ ", more than the tolerance of " ~ within ~ ", on "
      ~ runs_on ~ ". Pin the package versions that it was built with, or stage it again with: " %}
  {% endif %}
  {% set problem = none if wrong is none else "verify: model '" ~ pin.model ~ "' (version "
    ~ pin.version ~ ", build " ~ pin.build ~ ") " ~ wrong
    ~ tf_embeddings._stage_command(pin.model) %}
  {{ return({'report': report, 'line': line, 'problem': problem}) }}
{% endmacro %}

{% macro _tolerance(tolerance) %}
  {# The tolerance of verify, as a number: YAML reads 1e-5, without a point, as text. #}
  {% set number = tf_embeddings._as_number(tolerance) or 0 %}
  {% if number <= 0 or number >= 1e30 %}
    {% do exceptions.raise_compiler_error(
      "verify: tolerance is " ~ tf_embeddings._quoted(tolerance)
      ~ "; it must be a number above 0, the largest "
      ~ "difference of a component to accept, such as 0.00001."
    ) %}
  {% endif %}
  {{ return(number) }}
{% endmacro %}

{% macro _scientific(number) %}
  {# A number with two digits, as '%.2g' writes it, which dbt v2 does not know. #}
  {% if number is not number or not number > 0 %}
    {{ return('0' if number is number and number == 0 else number | string) }}
  {% endif %}
  {% set exponents = [] %}
  {% for exponent in range(0, 46) if number * 10.0 ** exponent >= 0.995 %}
    {% do exponents.append(exponent) %}
  {% endfor %}
  {% set exponent = exponents[0] if exponents else 45 %}
  {% if exponent <= 4 %}
    {{ return(modules.re.sub('[.]0$', '', number | round(exponent + 1) | string)) }}
  {% endif %}
  {% set digits = (number * 10.0 ** exponent) | round(1) | string %}
  {% set digits = modules.re.sub('[.]0$', '', digits) %}
  {{ return(digits ~ 'e-' ~ ('0' if exponent < 10 else '') ~ exponent) }}
{% endmacro %}
