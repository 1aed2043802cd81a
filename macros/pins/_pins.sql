{% macro _pins(macro) %}
  {# All the pins of the project, checked; none where it has none. #}
  {% set pins = [] %}
  {% for name in tf_embeddings._settings().models %}
    {% do pins.append(tf_embeddings._pin(name, macro)) %}
  {% endfor %}
  {{ return(pins) }}
{% endmacro %}
