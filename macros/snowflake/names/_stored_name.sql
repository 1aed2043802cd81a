{% macro _stored_name(name) %}
  {#
    A name as Snowflake stores it and shows it.
    https://docs.snowflake.com/en/sql-reference/identifiers-syntax
  #}
  {% set identifier = tf_embeddings._identifier(name) %}
  {% if identifier.startswith('"') %}
    {{ return(identifier[1:-1].replace('""', '"')) }}
  {% endif %}
  {{ return(identifier | upper) }}
{% endmacro %}
