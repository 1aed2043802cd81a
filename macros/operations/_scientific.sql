{% macro _scientific(number) %}
  {# A small number as it is read best, 1.2e-07; what is no number, as it is. #}
  {{ return('%.2g' | format(number) if number is number else number | string) }}
{% endmacro %}
