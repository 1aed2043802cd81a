{% macro _boolean_argument(macro, argument, value, allowed) %}
  {# Refuses what is neither true nor false, such as a text, which Jinja would take for true. #}
  {% if execute and value is not boolean %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ value | pprint ~ "; it must be " ~ allowed ~ "."
    ) %}
  {% endif %}
{% endmacro %}
