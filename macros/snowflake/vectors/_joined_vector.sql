{% macro snowflake___joined_vector(vector, dimensions) %}
  {{ return(vector) }}
{% endmacro %}
