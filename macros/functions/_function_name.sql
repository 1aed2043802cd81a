{% macro _function_name(pin) %}
  {#
    Named after what it runs, so that two builds of a model are two functions, and a pin with the
    version of one and the build of another names none: its vectors would be marked wrongly.
  #}
  {{ return(adapter.dispatch('_function_name', 'tf_embeddings')(pin)) }}
{% endmacro %}

{% macro default___function_name(pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}
