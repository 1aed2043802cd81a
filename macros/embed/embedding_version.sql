{% macro embedding_version(model=none) %}
  {% if tf_embeddings._is_parsing(model) %}
    {% do tf_embeddings._mark(model, embeds=false) %}
    {{ return("'v000000000000'") }}
  {% endif %}

  {% set pin = tf_embeddings._pin(model, 'embedding_version', takes='any') %}

  {{ return("'" ~ pin.version ~ "'") }}
{% endmacro %}
