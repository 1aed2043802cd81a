{% macro _stage_location(path='') %}
  {#
    A path on the stage as a literal of SQL, with its quotes: for IMPORTS, LIST, PUT and REMOVE.
    https://docs.snowflake.com/en/sql-reference/data-types-text#string-constants
  #}
  {% set location = '@' ~ tf_embeddings._stage_name() ~ '/' ~ path %}
  {% set location = location.replace('\\', '\\\\').replace("'", "\\'") %}
  {{ return("'" ~ location ~ "'") }}
{% endmacro %}
