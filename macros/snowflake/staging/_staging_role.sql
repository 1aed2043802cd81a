{% macro _staging_role() %}
  {# The role of the session, as SQL: the profile need not name it. #}
  {% set rows = tf_embeddings._staging_query(
    'select current_role() as role_name', 'Asking for the role of the session'
  ) %}
  {% set role = rows[0].role_name or 'PUBLIC' %}
  {# It comes as it is stored: in upper case where it was made without quotes. #}
  {% if modules.re.fullmatch('[A-Z_][A-Z0-9_$]*', role) %}
    {{ return(role) }}
  {% endif %}
  {{ return('"' ~ role.replace('"', '""') ~ '"') }}
{% endmacro %}
