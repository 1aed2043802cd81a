{% macro snowflake___joinable_vector(vector) %}
  {{ return(vector) }}
{% endmacro %}
