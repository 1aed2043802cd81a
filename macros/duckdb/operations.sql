{% macro duckdb___inventory(pins, macro) %}
  {#
    When dbt connects, the plugin registers a function for each artifact that it can read, so only
    files can be dropped. The return type of a function has the dimensions.
  #}
  {% set plugin = tf_embeddings._duckdb_plugin(macro) %}
  {% set files = [] %}
  {% for file in fromjson(run_query('select tf_embeddings_staged()').rows[0][0]) %}
    {% set arguments = "'" ~ [file.model, file.version, file.build] | join("', '") ~ "'" %}
    {% do files.append(dict(
      file, place=file.path, drop='select tf_embeddings_remove(' ~ arguments ~ ')'
    )) %}
  {% endfor %}
  {% set functions = {} %}
  {% for row in run_query(
    "select function_name, return_type from duckdb_functions() "
    ~ "where starts_with(function_name, 'tf_embeddings_')"
  ).rows %}
    {% do functions.update({row[0]: row[1] | string}) %}
  {% endfor %}

  {% set pinned = [] %}
  {% for pin in pins %}
    {% set type = functions.get(tf_embeddings._function_name(pin), '') %}
    {% set file = tf_embeddings._staged_file(pin, files) %}
    {% set dimensions = modules.re.search('embedding FLOAT.([0-9]+).', type) %}
    {% if not file or file.version != pin.version %}
      {% set state = tf_embeddings._staged_state(pin, file) %}
    {% elif not dimensions %}
      {% set state = 'damaged: stage it again with: ' ~ tf_embeddings._stage_command(pin.model) %}
    {% elif dimensions.group(1) | int != pin.dimensions %}
      {% set state = 'wrong pin: it has ' ~ dimensions.group(1) ~ ' dimensions, the pin says '
        ~ pin.dimensions %}
    {% else %}
      {% set state = 'ok' %}
    {% endif %}
    {% do pinned.append({
      'staged': file.bytes | filesizeformat if file else 'no',
      'function': 'yes' if type else 'no',
      'state': state,
      'is_ready': state == 'ok',
    }) %}
  {% endfor %}

  {{ return({
    'place': "the stage folder '" ~ plugin.get('stage', 'tf_embeddings_stage') ~ "'",
    'notes': [],
    'files': files,
    'functions': [],
    'pinned': pinned,
  }) }}
{% endmacro %}

{% macro duckdb___golden_report(pin, inventory, grant) %}
  {% do tf_embeddings._duckdb_plugin('verify') %}
  {% set arguments = "'" ~ [pin.model, pin.version, pin.build] | join("', '") ~ "'" %}
  {{ return(run_query('select tf_embeddings_verify(' ~ arguments ~ ')').rows[0][0]) }}
{% endmacro %}

{% macro duckdb___refusal(pin) %}
  {% set arguments = [
    "'" ~ pin.model ~ "'", "'" ~ pin.version ~ "'", "'" ~ pin.build ~ "'", pin.dimensions
  ] | join(', ') %}
  {{ return(run_query('select tf_embeddings_refusal(' ~ arguments ~ ')').rows[0][0] or none) }}
{% endmacro %}
