{% macro _number_argument(macro, argument, value, least, most, meaning, whole=false) %}
  {#
    An argument that is a number, as one: YAML reads 1e-4, without a point, as a text. `most` is
    none where there is no limit but infinity. At parse time whatever came.
  #}
  {% set number = none if value is boolean else value | float(none) %}
  {% set fits = number is not none and least <= number <= (1e308 if most is none else most) %}
  {% if fits and not (whole and value is not integer) %}
    {{ return(value if value is number else number) }}
  {% endif %}
  {% if execute %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ value | pprint ~ "; it must be a "
      ~ ("whole " if whole else "") ~ "number from " ~ least
      ~ (" to " ~ most if most is not none else "") ~ ", " ~ meaning ~ "."
    ) %}
  {% endif %}
  {{ return(value) }}
{% endmacro %}
