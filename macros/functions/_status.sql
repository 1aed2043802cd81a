{% macro _status(text, pin) %}
  {# What the runtime says of a text: ok, null, blank or error. #}
  {{ return(adapter.dispatch('_status', 'tf_embeddings')(text, pin)) }}
{% endmacro %}

{% macro default___status(text, pin) %}
  {{ return(tf_embeddings._unsupported('embedding_coverage')) }}
{% endmacro %}
