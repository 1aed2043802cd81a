{% macro _staging_require_unused(pin, place, size, bytes) %}
  {#
    A broken upload is replaced only where no function runs it.
    https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
  #}
  {% set functions = tf_embeddings._staging_query(
    "show user functions like '%" ~ pin.build ~ "%' in schema " ~ tf_embeddings._schema_name(),
    'Looking for functions in schema ' ~ tf_embeddings._schema_name()
  ) %}
  {% set suffix = '_' ~ pin.model ~ '_' ~ pin.build ~ '_' %}
  {% for function in functions if suffix in function.name | lower %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ place ~ " has " ~ size ~ " bytes instead of " ~ bytes ~ ", and function "
      ~ function.name ~ " runs it. Drop that function, which cannot work, and run this again: drop "
      ~ "function " ~ tf_embeddings._schema_name() ~ "." ~ function.name
      ~ tf_embeddings._signature(function)
    ) %}
  {% endfor %}
{% endmacro %}
