{% macro duckdb__text_hash(text) %}
  {# https://duckdb.org/docs/stable/sql/functions/text#sha256value #}
  {{ return('sha256(cast(' ~ text ~ ' as varchar))') }}
{% endmacro %}
