{% macro _pins_of_run() %}
  {# The pins of the models that a run embeds with, in the order of their names. #}
  {% set pins = {} %}
  {% for node in tf_embeddings._nodes_of_run() %}
    {% for name, mark in tf_embeddings._models_of_node(node).items() %}
      {% set pin = tf_embeddings._marked_pin(node, name, mark) %}
      {% do pins.update({pin.model: pin}) %}
    {% endfor %}
  {% endfor %}
  {{ return(pins | dictsort | map('last') | list) }}
{% endmacro %}
