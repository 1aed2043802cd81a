{% macro _rows(sql) %}
  {# The rows of a statement, as maps; their keys are in lower case. #}
  {% set table = run_query(sql) %}
  {% set names = table.column_names | map('lower') | list %}
  {% set rows = [] %}
  {% for row in table.rows %}
    {% do rows.append(dict(zip(names, row.values()))) %}
  {% endfor %}
  {{ return(rows) }}
{% endmacro %}
