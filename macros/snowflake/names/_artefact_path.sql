{% macro _artefact_path(pin) %}
  {# Where a pinned artefact is on the stage. #}
  {{ return(
    [pin.model, pin.version, pin.model ~ '-' ~ pin.build ~ '.zip'] | join('/')
  ) }}
{% endmacro %}
