{% macro _staged_file(pin, files) %}
  {# The staged artifact of a pin: where it belongs, or else where another version has its build. #}
  {% set found = [none] %}
  {% for file in files if [file.model, file.build] == [pin.model, pin.build] %}
    {% if file.version == pin.version %}
      {{ return(file) }}
    {% endif %}
    {% do found.append(file) %}
  {% endfor %}
  {{ return(found | last) }}
{% endmacro %}
