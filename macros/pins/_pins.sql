{% macro _pins(macro) %}
  {#
    All the pins of the project, checked; none where it has none. A node that embeds with another
    one is an error: what it uses would seem unused.
  #}
  {% set pins = [] %}
  {% for node in graph.nodes.values() %}
    {% for name, mark in tf_embeddings._models_of_node(node).items() if mark %}
      {% do tf_embeddings._marked_pin(node, name, mark) %}
    {% endfor %}
  {% endfor %}
  {% for name in tf_embeddings._settings().models %}
    {% do pins.append(tf_embeddings._pin(name, macro)) %}
  {% endfor %}
  {{ return(pins) }}
{% endmacro %}
