{% macro _golden_report(pin) %}
  {# What a staged artefact gives for its golden texts where it is deployed, as JSON. #}
  {{ return(adapter.dispatch('_golden_report', 'tf_embeddings')(pin)) }}
{% endmacro %}

{% macro default___golden_report(pin) %}
  {{ return(tf_embeddings._unsupported('verify')) }}
{% endmacro %}
