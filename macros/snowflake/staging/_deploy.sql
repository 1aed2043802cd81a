{% macro snowflake___deploy(pin, inventory) %}
  {#
    What the hook creates, for a role that stages models for others, who set var
    tf_embeddings_manage to false: so what is missing is created and granted whatever that says,
    also what an earlier call left ungranted.
  #}
  {% set statements = tf_embeddings._grants([pin], ['embed', 'verify']) %}
  {% if inventory.pinned[0].function == 'no' %}
    {% set statements = [tf_embeddings._create_function(pin)] + statements %}
  {% endif %}
  {% for statement in statements %}
    {% do run_query(statement) %}
  {% endfor %}
{% endmacro %}
