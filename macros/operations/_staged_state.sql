{% macro _staged_state(pin, file) %}
  {# What status says of a pin whose artifact is not where it belongs. #}
  {% if file %}
    {{ return('wrong pin: its build is staged as version ' ~ file.version ~ '; correct the pin') }}
  {% endif %}
  {{ return('not staged: ' ~ tf_embeddings._stage_command(pin.model)) }}
{% endmacro %}
