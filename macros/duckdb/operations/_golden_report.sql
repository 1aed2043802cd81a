{% macro duckdb___golden_report(pin, inventory, grant) %}
  {% do tf_embeddings._duckdb_plugin('verify') %}
  {% set arguments = "'" ~ [pin.model, pin.version, pin.build] | join("', '") ~ "'" %}
  {{ return(run_query('select tf_embeddings_verify(' ~ arguments ~ ')').rows[0][0]) }}
{% endmacro %}
