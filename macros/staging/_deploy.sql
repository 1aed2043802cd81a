{% macro _deploy(pin) %}
  {# Creates the function of a staged artefact, where a warehouse has it beside the file. #}
  {% do adapter.dispatch('_deploy', 'tf_embeddings')(pin) %}
{% endmacro %}

{% macro default___deploy(pin) %}
  {# Nothing: the functions come with the files. #}
{% endmacro %}
