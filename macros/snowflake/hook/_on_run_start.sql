{% macro snowflake___on_run_start(pins) %}
  {#
    Creates what is missing and replaces nothing. dbt-snowflake sends the statements one by one: it
    splits them at `;` outside quotes and $$.
  #}
  {% if not tf_embeddings._settings().manage %}
    {{ return('') }}
  {% endif %}
  {% set statements = tf_embeddings._create_stage() %}
  {% for pin in pins %}
    {% do statements.append(tf_embeddings._create_function(pin)) %}
  {% endfor %}
  {{ return((statements + tf_embeddings._grants(pins)) | join(';\n\n')) }}
{% endmacro %}
