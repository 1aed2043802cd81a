{% macro snowflake___vector_type(dimensions) %}
  {{ return('vector(float, ' ~ dimensions ~ ')') }}
{% endmacro %}
