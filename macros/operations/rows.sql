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

{% macro _table(header, rows) %}
  {# Prints rows of strings below their header, in columns. #}
  {% set lines = [header] + rows %}
  {% set widths = [] %}
  {% for _ in header %}
    {% set column = loop.index0 %}
    {% do widths.append(lines | map(attribute=column) | map('length') | max) %}
  {% endfor %}
  {% for line in lines %}
    {% set cells = [] %}
    {% for cell in line %}
      {% do cells.append('%-*s' | format(widths[loop.index0], cell)) %}
    {% endfor %}
    {% do print((cells | join('  ')).rstrip()) %}
  {% endfor %}
{% endmacro %}
