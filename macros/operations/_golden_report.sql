{% macro _golden_report(pin, inventory, grant) %}
  {#
    What a staged artifact gives for its golden texts where it is deployed, as JSON. `inventory` is
    that of _inventory; `grant` is false where _deploy follows, which grants the same.
  #}
  {{ return(adapter.dispatch('_golden_report', 'tf_embeddings')(pin, inventory, grant)) }}
{% endmacro %}

{% macro default___golden_report(pin, inventory, grant) %}
  {{ return(tf_embeddings._unsupported('verify')) }}
{% endmacro %}
