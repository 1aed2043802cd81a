{% macro _sql_argument(macro, argument, value) %}
  {# An argument that is a SQL expression, as a string. It is empty where the quotes are missing. #}
  {% set expression = '' if value is none else value | string | trim %}
  {% if execute and not expression %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is empty; it must be a SQL expression in quotes, such as a "
      ~ "column: " ~ macro ~ "(" ~ argument ~ "='body', …)."
    ) %}
  {% endif %}
  {{ return(expression) }}
{% endmacro %}
