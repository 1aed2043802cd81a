{% macro require_the_place() %}
  {% set place = $place %}
  {% for part, value in place.items() if execute and (target.get(part) | string) != value %}
    {% do exceptions.raise_compiler_error($refusal) %}
  {% endfor %}
{% endmacro %}

{% macro snowflake__get_batch_size() %}
  {{ return($rows) }}
{% endmacro %}
