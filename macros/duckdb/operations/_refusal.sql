{% macro duckdb___refusal(pin) %}
  {% set arguments = [
    "'" ~ pin.model ~ "'", "'" ~ pin.version ~ "'", "'" ~ pin.build ~ "'", pin.dimensions
  ] | join(', ') %}
  {{ return(run_query('select tf_embeddings_refusal(' ~ arguments ~ ')').rows[0][0] or none) }}
{% endmacro %}
