{% macro _rows(sql) %}
  {# The rows that a statement returns, as maps with lower case keys. #}
  {% set table = run_query(sql) %}
  {% set names = table.column_names | map('lower') | list %}
  {% set rows = [] %}
  {% for row in table.rows %}
    {% do rows.append(dict(zip(names, row.values()))) %}
  {% endfor %}
  {{ return(rows) }}
{% endmacro %}

{% macro _table(header, rows) %}
  {# Prints a table: rows of text below a header. #}
  {% set lines = [header] + rows %}
  {% set widths = [] %}
  {% for _ in header %}
    {% set column = loop.index0 %}
    {% do widths.append(lines | map(attribute=column) | map('length') | max) %}
  {% endfor %}
  {% for line in lines %}
    {% set cells = [] %}
    {% for cell in line %}
      {% do cells.append(cell.ljust(widths[loop.index0])) %}
    {% endfor %}
    {% do print((cells | join('  ')).rstrip()) %}
  {% endfor %}
{% endmacro %}
