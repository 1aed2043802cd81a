{% macro _status(text, pin, macro) %}
  {# What the runtime says of a text: ok, null, blank or error. #}
  {{ return(adapter.dispatch('_status', 'tf_embeddings')(text, pin, macro)) }}
{% endmacro %}

{% macro default___status(text, pin, macro) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}
