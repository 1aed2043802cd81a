{% macro _pin(model=none, macro='embed') %}
  {# The pin of a model, or of the default model, with the model's name in it; it is checked. #}
  {% set name = tf_embeddings._model_name(model, macro) %}
  {{ return(tf_embeddings._checked_pin(name, tf_embeddings._settings().models[name], macro)) }}
{% endmacro %}
