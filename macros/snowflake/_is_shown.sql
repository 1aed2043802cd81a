{% macro _is_shown(kind, name, place) %}
  {#
    Whether a schema or a stage is there, as far as this role may see: SHOW gives no error, and asks
    for any privilege on it. Its pattern has wildcards and no case, so the names are compared here.
    https://docs.snowflake.com/en/sql-reference/sql/show-stages
  #}
  {% set rows = tf_embeddings._rows(
    'show ' ~ kind ~ ' like ' ~ tf_embeddings._stored_literal(name) ~ ' in ' ~ place
  ) %}
  {{ return(tf_embeddings._stored_name(name) in rows | map(attribute='name')) }}
{% endmacro %}
