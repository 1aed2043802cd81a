{% macro _artifact_path(pin) %}
  {# Where a pinned artifact is on the stage. #}
  {{ return(
    [pin.model, pin.version, pin.model ~ '-' ~ pin.build ~ '.zip'] | join('/')
  ) }}
{% endmacro %}
