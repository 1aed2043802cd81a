{% macro _deploy(pin, inventory) %}
  {#
    Creates the function of a staged artifact, where a warehouse has it beside the file.
    `inventory` is that of _inventory for this pin alone.
  #}
  {% do adapter.dispatch('_deploy', 'tf_embeddings')(pin, inventory) %}
{% endmacro %}

{% macro default___deploy(pin, inventory) %}
  {# Nothing: the functions come with the files. #}
{% endmacro %}
