{% macro _shown(kind, role=none) %}
  {#
    The schema (kind 'schemas') or the stage (kind 'stages') of the settings as SHOW has it; none
    where it is not there, as far as this role may see: SHOW asks for any privilege on it. Its
    pattern has wildcards and no case, so the names are compared here. With the name of the role,
    scripts/stage_model.py is told what to do where even the place to look into is refused.
    https://docs.snowflake.com/en/sql-reference/sql/show-schemas
    https://docs.snowflake.com/en/sql-reference/sql/show-stages
  #}
  {% set settings = tf_embeddings._settings() %}
  {% if kind == 'schemas' %}
    {% set name = settings.schema %}
    {% set place = 'database ' ~ tf_embeddings._identifier(settings.database) %}
    {% set next = 'Name another one in var tf_embeddings_database, or let its owner run: ' %}
  {% else %}
    {% set name = settings.stage %}
    {% set place = 'schema ' ~ tf_embeddings._schema_name() %}
    {% set next = 'Let its owner run: ' %}
  {% endif %}

  {% set show = 'show ' ~ kind ~ ' like ' ~ tf_embeddings._stored_literal(name) ~ ' in ' ~ place %}
  {% if role is none %}
    {% set rows = tf_embeddings._rows(show) %}
  {% else %}
    {% set rows = tf_embeddings._staging_query(
      show,
      'Looking into ' ~ place,
      next=next ~ 'grant usage on ' ~ place ~ ' to role ' ~ role
    ) %}
  {% endif %}
  {% set name = tf_embeddings._stored_name(name) %}
  {{ return(rows | selectattr('name', 'equalto', name) | first | default(none)) }}
{% endmacro %}
