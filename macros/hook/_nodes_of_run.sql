{% macro _nodes_of_run() %}
  {#
    The nodes whose SQL a run executes, which are more than it selects: the ephemeral models below
    a node are part of its SQL, the project's hooks run always, and a unit test runs the SQL of its
    model alone.
  #}
  {% set ids = [] %}
  {% set unit_tested = [] %}
  {% set nodes = [] %}

  {% for node in graph.nodes.values() if node.resource_type == 'operation' %}
    {% do ids.append(node.unique_id) %}
  {% endfor %}
  {% for id in selected_resources %}
    {% if id.startswith('unit_test.') %}
      {# unit_test.<package>.<model>.<name>, with _v<version> at its end if the model has one #}
      {% set model = 'model.' ~ id.split('.')[1:-1] | join('.') %}
      {% do unit_tested.extend([model, model ~ '.v' ~ id.split('_v') | last]) %}
    {% else %}
      {% do ids.append(id) %}
    {% endif %}
  {% endfor %}

  {# The list grows while it is read: an ephemeral model may stand on another. #}
  {% for id in ids if id in graph.nodes %}
    {% for parent in graph.nodes[id].depends_on.get('nodes', []) if parent in graph.nodes %}
      {% if graph.nodes[parent].config.materialized == 'ephemeral' and parent not in ids %}
        {% do ids.append(parent) %}
      {% endif %}
    {% endfor %}
  {% endfor %}

  {% for id in ids + unit_tested if id in graph.nodes %}
    {% do nodes.append(graph.nodes[id]) %}
  {% endfor %}
  {{ return(nodes) }}
{% endmacro %}
