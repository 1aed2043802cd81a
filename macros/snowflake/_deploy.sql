{% macro snowflake___deploy(pin) %}
  {#
    What the hook creates, for a role that stages models for others, who set var
    tf_embeddings_manage to false: so one that is missing is created whatever that says.
  #}
  {% set inventory = tf_embeddings._inventory([pin], 'verify') %}
  {% if inventory.pinned[0].function == 'no' or tf_embeddings._settings().manage %}
    {% for statement in [tf_embeddings._create_function(pin)] + tf_embeddings._grants([pin]) %}
      {% do run_query(statement) %}
    {% endfor %}
  {% endif %}
{% endmacro %}
