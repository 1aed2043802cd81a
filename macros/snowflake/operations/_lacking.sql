{% macro _lacking() %}
  {#
    The privileges that the hook needs and this session's role does not have, to read; none are
    known of a schema that is not there yet. IS_ROLE_IN_SESSION knows what a role has through
    others; it counts secondary roles, too, which CREATE does not.
    https://docs.snowflake.com/en/sql-reference/sql/show-grants
    https://docs.snowflake.com/en/sql-reference/functions/is_role_in_session
  #}
  {% set database = 'database ' ~ tf_embeddings._identifier(tf_embeddings._settings().database) %}
  {% set wanted = [['create schema', database]] %}
  {% if tf_embeddings._shown('schemas') %}
    {% set schema = 'schema ' ~ tf_embeddings._schema_name() %}
    {% do wanted.extend([['create stage', schema], ['create function', schema]]) %}
  {% endif %}

  {% set answers = [] %}
  {% set granted = {} %}
  {% for privilege, object in wanted %}
    {% if object not in granted %}
      {% do granted.update({object: tf_embeddings._rows('show grants on ' ~ object)}) %}
    {% endif %}
    {% set holds = ['false'] %}
    {% for row in granted[object] if row.privilege | lower in [privilege, 'ownership'] %}
      {% do holds.append(
        "is_role_in_session('" ~ row.grantee_name.replace("'", "\\'") ~ "')"
      ) %}
    {% endfor %}
    {% do answers.append('(' ~ holds | unique | join(' or ') ~ ') as answer_' ~ loop.index) %}
  {% endfor %}
  {% set row = run_query('select ' ~ answers | join(', ')).rows[0] %}

  {% set lacking = [] %}
  {% for privilege, object in wanted %}
    {% do lacking.append(privilege ~ ' on ' ~ object) if not row[loop.index0] %}
  {% endfor %}
  {{ return(lacking) }}
{% endmacro %}
