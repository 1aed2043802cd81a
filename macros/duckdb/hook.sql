{% macro duckdb___prepare_run(pins) %}
  {# The plugin has registered the functions; its check fails if an artifact cannot run. #}
  {% do tf_embeddings._duckdb_plugin('embed') %}
  {% set checks = [] %}
  {% for pin in pins %}
    {% set arguments = [
      "'" ~ pin.model ~ "'", "'" ~ pin.version ~ "'", "'" ~ pin.build ~ "'", pin.dimensions
    ] %}
    {% do checks.append('tf_embeddings_check(' ~ arguments | join(', ') ~ ')') %}
  {% endfor %}
  {{ return('select ' ~ checks | join(', ')) }}
{% endmacro %}
