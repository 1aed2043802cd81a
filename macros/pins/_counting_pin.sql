{% macro _counting_pin(model, macro) %}
  {# The pin of a model that can tell how many tokens a text has; see _pin. #}
  {% set pin = tf_embeddings._pin(model, macro) %}
  {% if pin.kind == 'text' %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model '" ~ pin.model ~ "' is of kind text: it takes whole texts, and cannot tell "
      ~ "how many tokens they have. Name a model of kind tokens or sentencepiece."
    ) %}
  {% endif %}
  {{ return(pin) }}
{% endmacro %}
