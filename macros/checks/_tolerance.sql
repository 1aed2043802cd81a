{% macro _tolerance(tolerance) %}
  {# The tolerance of verify, as a number: YAML reads 1e-5, without a point, as a string. #}
  {% set number = 0 if tolerance is boolean or tolerance is none else tolerance | float(0) %}
  {% if not 0 < number < 1e30 %}
    {% do exceptions.raise_compiler_error(
      "verify: tolerance is " ~ tolerance | pprint ~ "; it must be a number above 0, the largest "
      ~ "difference of a component that is allowed, such as 0.00001."
    ) %}
  {% endif %}
  {{ return(number) }}
{% endmacro %}
