{% macro _models_of_run() %}
  {#
    The names of the models that a run embeds with, sorted. A run executes more than it selects:
    the ephemeral models below a node are part of its SQL, the project's hooks run always, and a
    unit test runs the SQL of its model alone.
  #}
  {% set ids = selected_resources | list %}
  {% set nodes = [] %}
  {% set names = [] %}

  {% for node in graph.nodes.values() %}
    {% if node.resource_type == 'operation' %}
      {% do ids.append(node.unique_id) %}
    {% elif node.resource_type == 'model' %}
      {# Its id is unit_test.<package>.<model>.<name>, _v<version> at the end; graph has it not. #}
      {% set unit_tests = 'unit_test.' ~ node.package_name ~ '.' ~ node.name ~ '.' %}
      {% set version = '' if node.version is none else '_v' ~ node.version %}
      {% for id in selected_resources if id.startswith(unit_tests) and id.endswith(version) %}
        {% do nodes.append(node) %}
      {% endfor %}
    {% endif %}
  {% endfor %}

  {# The list grows while it is read: an ephemeral model may stand on another. #}
  {% for id in ids %}
    {% set node = graph.nodes.get(id, {'depends_on': {}}) %}
    {% do nodes.append(node) %}
    {% for parent in node.depends_on.get('nodes', []) if parent not in ids %}
      {% if graph.nodes.get(parent, {'config': {}}).config.materialized == 'ephemeral' %}
        {% do ids.append(parent) %}
      {% endif %}
    {% endfor %}
  {% endfor %}

  {% for node in nodes %}
    {% do names.extend(tf_embeddings._models_of_node(node)) %}
  {% endfor %}
  {{ return(names | unique | sort) }}
{% endmacro %}
