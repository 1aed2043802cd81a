{% macro _staging_broken(pin) %}
  {#
    The names of the functions of a pin's build, whatever their settings.
    https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
  #}
  {% set functions = tf_embeddings._staging_query(
    "show user functions like '%" ~ pin.build ~ "%' in schema " ~ tf_embeddings._schema_name(),
    'Looking for functions in schema ' ~ tf_embeddings._schema_name()
  ) %}
  {% set names = [] %}
  {% set suffix = '_' ~ pin.model ~ '_' ~ pin.build ~ '_' %}
  {% for function in functions if suffix in function.name | lower %}
    {% do names.append(function.name | lower) %}
  {% endfor %}
  {{ return(names | sort) }}
{% endmacro %}
