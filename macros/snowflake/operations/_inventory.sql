{% macro snowflake___inventory(pins, macro) %}
  {#
    SHOW and LIST ask for USAGE on the schema and READ on the stage; what is not there yet, or not
    for this role, is a note. Only status asks what the role lacks for what the hook has to do.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set schema, stage = tf_embeddings._schema_name(), tf_embeddings._stage_name() %}
  {% set has_schema = tf_embeddings._shown('schemas') is not none %}
  {% set shown = tf_embeddings._shown('stages') if has_schema else none %}
  {% set has_stage = shown is not none %}
  {% set created = tf_embeddings._created_functions() if has_schema else [] %}
  {% set files = tf_embeddings._listed_files() if has_stage else [] %}
  {% set names = created | map(attribute='name') | list %}
  {% set lacking = [] %}
  {% set may_use = 'true' %}
  {% if macro == 'status' and settings.manage and pins %}
    {% do lacking.extend(tf_embeddings._lacking()) %}
    {% set may_use = tf_embeddings._caught(tf_embeddings._has_repository_role()) | lower %}
  {% endif %}

  {% set notes = [] %}
  {% if not has_stage %}
    {% set missing = 'Stage ' ~ stage if has_schema else 'Schema ' ~ schema %}
    {% do notes.append(missing ~ ' does not exist, or the role of this target may not see it.') %}
  {% endif %}
  {% set encryption = tf_embeddings._encryption_note(shown) if macro == 'status' else none %}
  {% if encryption %}
    {% do notes.append(encryption) %}
  {% endif %}

  {% set named = [] %}
  {% set pinned = [] %}
  {% for pin in pins %}
    {% set function = tf_embeddings.snowflake___function_name(pin).split('.') | last %}
    {% set check = tf_embeddings.snowflake___function_name(pin, 'verify').split('.') | last %}
    {% do named.extend([function, check]) %}
    {% set file = tf_embeddings._staged_file(pin, files) %}
    {% set is_unseen = not has_stage and function in names %}
    {% set stage_it = tf_embeddings._stage_command(pin.model) %}
    {% if file.version != pin.version and not is_unseen %}
      {% set state = tf_embeddings._staged_state(pin, file) %}
    {% elif file and 'bytes' in pin
      and file.bytes not in tf_embeddings._staged_sizes(pin['bytes'], shown) %}
      {% set broken = created | selectattr('model', 'equalto', pin.model)
        | selectattr('build', 'equalto', pin.build) | map(attribute='name') | join(', ') %}
      {% set state = 'damaged: its file has ' ~ file.bytes ~ ' bytes instead of ' ~ pin['bytes']
        ~ (', which breaks ' ~ broken if broken else '') ~ '; put it again with: ' ~ stage_it %}
    {% elif lacking %}
      {% set state = 'the role lacks ' ~ lacking | join(', ') ~ ', which each run needs here: let '
        ~ "the owner grant it, or set var tf_embeddings_manage to false or to the owner's target" %}
    {% elif function in names %}
      {% set state = 'ok' %}
    {% elif may_use == 'false' %}
      {% set state = 'cannot run: '
        ~ tf_embeddings._cause(settings.artifact_repository ~ ' not authorized', pin) %}
    {% elif settings.manage %}
      {% set state = 'ok: the next run creates the function' %}
    {% else %}
      {% set state = 'no function: let a role that may create it run: ' ~ stage_it ~ ' --verify'
        ~ ('' if settings.grants else ', with this role in var tf_embeddings_grants') %}
    {% endif %}
    {% do pinned.append({
      'model': pin.model,
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
  {{ return({
    'place': 'stage ' ~ stage,
    'notes': notes,
    'files': files,
    'functions': functions,
    'pinned': pinned,
  }) }}
{% endmacro %}
