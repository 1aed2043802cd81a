{% macro duckdb___function_name(pin) %}
  {{ return('tf_embeddings_' ~ pin.model ~ '_' ~ pin.build) }}
{% endmacro %}
