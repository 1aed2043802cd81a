{% macro snowflake___inventory(pins, macro) %}
  {#
    SHOW and LIST ask for USAGE on the schema and READ on the stage; what is not there yet, or not
    for this role, is a note.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set schema, stage = tf_embeddings._schema_name(), tf_embeddings._stage_name() %}
  {% set has_schema = tf_embeddings._shown('schemas') is not none %}
  {% set has_stage = has_schema and tf_embeddings._shown('stages') is not none %}
  {% set created = tf_embeddings._created_functions() if has_schema else [] %}
  {% set files = tf_embeddings._listed_files() if has_stage else [] %}
  {% set names = created | map(attribute='name') | list %}

  {% set named = [] %}
  {% set pinned = [] %}
  {% for pin in pins %}
    {% set function = tf_embeddings.snowflake___function_name(pin).split('.') | last %}
    {% set check = tf_embeddings.snowflake___function_name(pin, 'verify').split('.') | last %}
    {% do named.extend([function, check]) %}
    {% set file = tf_embeddings._staged_file(pin, files) %}
    {% set is_unseen = not has_stage and function in names %}
    {% if file.version != pin.version and not is_unseen %}
      {% set state = tf_embeddings._staged_state(pin, file) %}
    {% elif function in names %}
      {% set state = 'ok' %}
    {% elif settings.manage %}
      {% set state = 'ok: the next run creates the function' %}
    {% else %}
      {% set state = 'no function: let a role that may create it run: '
        ~ tf_embeddings._stage_command(pin.model) ~ ' --verify' %}
    {% endif %}
    {% do pinned.append({
      'staged': file.bytes | filesizeformat if file else 'no' if has_stage else '?',
      'function': 'yes' if function in names else 'no',
      'state': state,
      'is_ready': state.startswith('ok'),
    }) %}
  {% endfor %}

  {% set functions = [] %}
  {% for function in created %}
    {% do functions.append(dict(function, is_named=function.name in named)) %}
  {% endfor %}
  {% set missing = 'Stage ' ~ stage if has_schema else 'Schema ' ~ schema %}
  {{ return({
    'place': 'stage ' ~ stage,
    'notes': [] if has_stage else [
      missing ~ ' does not exist, or the role of this target may not see it.'
    ],
    'files': files,
    'functions': functions,
    'pinned': pinned,
  }) }}
{% endmacro %}
