{% macro _stored_literal(name) %}
  {# A name as Snowflake stores it, as a literal of SQL; no name has a backslash. #}
  {{ return("'" ~ tf_embeddings._stored_name(name).replace("'", "\\'") ~ "'") }}
{% endmacro %}
