{% macro _is_list_of_strings(value) %}
  {% if value is not sequence or value is string or value is mapping %}
    {{ return(false) }}
  {% endif %}
  {{ return(value | select('string') | list | length == value | length) }}
{% endmacro %}
