{% macro _grants(pins) %}
  {#
    The statements that let the roles of var tf_embeddings_grants call the functions of pins.
    https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
  #}
  {% set grants = [] %}
  {% for role in tf_embeddings._settings().grants | map('trim') | unique %}
    {% set objects = [
      'usage on schema ' ~ tf_embeddings._schema_name(),
      'read on stage ' ~ tf_embeddings._stage_name(),
    ] %}
    {% for pin in pins %}
      {% do objects.append(
        'usage on function ' ~ tf_embeddings.snowflake___function_name(pin) ~ '(varchar)'
      ) %}
    {% endfor %}
    {% for object in objects %}
      {% do grants.append('grant ' ~ object ~ ' to role ' ~ tf_embeddings._identifier(role)) %}
    {% endfor %}
  {% endfor %}
  {{ return(grants) }}
{% endmacro %}
