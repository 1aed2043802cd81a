{% macro duckdb___function_name(pin) %}
  {{ return('tf_embeddings_' ~ [pin.model, pin.version, pin.build] | join('_')) }}
{% endmacro %}
