{% macro _staging_role() %}
  {#
    The role of the session, as SQL: the profile need not name it. It is the first that is asked, so
    a login that fails, fails here.
  #}
  {% set takes_token = target.authenticator | default('') | string | lower
    == 'programmatic_access_token' %}
  {% set rows = tf_embeddings._staging_query(
    'select current_role() as role_name',
    'Asking for the role of the session',
    next="dbt-snowflake passes `token` on for the authenticators oauth and jwt alone: give a "
    ~ "programmatic access token as `password`, and leave the authenticator out" if takes_token
    else none
  ) %}
  {% set role = rows[0].role_name or 'PUBLIC' %}
  {# It comes as it is stored: in upper case where it was made without quotes. #}
  {% if modules.re.fullmatch('[A-Z_][A-Z0-9_$]*', role) %}
    {{ return(role) }}
  {% endif %}
  {{ return('"' ~ role.replace('"', '""') ~ '"') }}
{% endmacro %}
