{% macro _is_identifier(name) %}
  {#
    Whether a text can name an object of a warehouse: from 1 to 255 characters inside its quotes, if
    it has any. Backslashes and $$ are refused because the statements of a hook are split at `;` by
    a reader that takes a backslash before a quote, and $$ outside quotes, for its own.
  #}
  {% if name is not string or not name | trim or modules.re.search('[\\\\\\r\\n]|[$][$]', name) %}
    {{ return(false) }}
  {% endif %}
  {% set is_quoted = modules.re.fullmatch('"([^"]|"")*"', name) %}
  {% set characters = name[1:-1].replace('""', '"') if is_quoted else name %}
  {{ return(1 <= characters | length <= 255) }}
{% endmacro %}
