{% macro _pins_of_run() %}
  {# The pins of the models that a run embeds with, in the order of their names. #}
  {% set pins = {} %}
  {% for name in tf_embeddings._models_of_run() %}
    {% set pin = tf_embeddings._pin(none if name == 'DEFAULT' else name) %}
    {% do pins.update({pin.model: pin}) %}
  {% endfor %}
  {{ return(pins | dictsort | map('last') | list) }}
{% endmacro %}
