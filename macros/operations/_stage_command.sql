{% macro _stage_command(model) %}
  {# The command that stages a model on this target and writes its pin, where dbt was called. #}
  {% set place = tf_embeddings._package_folder() %}
  {% set script = place.folder ~ '/scripts/stage_model.py' %}
  {% set script = '"' ~ script ~ '"' if ' ' in script else script %}
  {% set command = 'python ' ~ script ~ ' ' ~ model ~ ' --write --target ' ~ target.name %}
  {% if place.project %}
    {% set command = command ~ ' --project-dir "' ~ place.project ~ '"' %}
  {% endif %}
  {{ return(command) }}
{% endmacro %}
