{% macro duckdb___vector_json(vector) %}
  {# The shortest digits that give the same float32; a NULL component as NULL. #}
  {{ return('cast(' ~ vector ~ ' as varchar)') }}
{% endmacro %}
