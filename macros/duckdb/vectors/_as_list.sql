{% macro _as_list(vector) %}
  {# A vector of any type as a list; see _of_lists. #}
  {{ return('((' ~ vector ~ ') || [])') }}
{% endmacro %}
