{% macro _grants(pins, kinds=['embed']) %}
  {#
    The statements that let the roles of var tf_embeddings_grants call these kinds of the functions
    of pins; see _function_definition.
    https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
  #}
  {% set objects = [
    'usage on schema ' ~ tf_embeddings._schema_name(),
    'read on stage ' ~ tf_embeddings._stage_name(),
  ] %}
  {% for pin in pins %}
    {% for kind in kinds %}
      {% do objects.append(
        'usage on function ' ~ tf_embeddings.snowflake___function_name(pin, kind)
        ~ ('()' if kind == 'verify' else '(varchar, boolean)')
      ) %}
    {% endfor %}
  {% endfor %}

  {% set grants = [] %}
  {% for role in tf_embeddings._settings().grants | map('trim') | unique %}
    {% for object in objects %}
      {% do grants.append('grant ' ~ object ~ ' to role ' ~ tf_embeddings._identifier(role)) %}
    {% endfor %}
  {% endfor %}
  {{ return(grants) }}
{% endmacro %}
