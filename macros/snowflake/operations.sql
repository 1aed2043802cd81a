{% macro snowflake___inventory(pins, macro) %}
  {#
    SHOW and LIST need USAGE on the schema and READ on the stage. What SHOW does not list is a note:
    the role may not see it, and use it through a secondary role. So status, and verify where it
    sees no stage, call such functions. Only status asks which privileges of the hook the role
    lacks.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set schema, stage = tf_embeddings._schema_name(), tf_embeddings._stage_name() %}
  {% set has_schema = tf_embeddings._shown('schemas') is not none %}
  {% set shown = tf_embeddings._shown('stages') if has_schema else none %}
  {% set has_stage = shown is not none %}
  {% set created = tf_embeddings._created_functions() if has_schema else [] %}
  {% set files = tf_embeddings._listed_files() if has_stage else [] %}
  {% set names = created | map(attribute='name') | list %}
  {% set role = none if has_stage else tf_embeddings._current_role() %}
  {% set lacking = [] %}
  {% set may_use = 'true' %}
  {% if macro == 'status' and settings.manage and pins %}
    {% do lacking.extend(tf_embeddings._lacking()) %}
    {% set may_use = tf_embeddings._caught(tf_embeddings._has_repository_role()) | lower %}
  {% endif %}

  {% set notes = [] %}
  {% if not has_stage %}
    {% do notes.append(
      ('Stage ' ~ stage if has_schema else 'Schema ' ~ schema) ~ ' is not visible to role ' ~ role
      ~ ': it does not exist, or no privilege on it is granted to this role; secondary roles do '
      ~ 'not count.'
    ) %}
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
    {% set is_there = function in names
      or (macro == 'status' and not tf_embeddings._refusal(pin)) %}
    {% set stage_it = tf_embeddings._stage_command(pin.model) %}
    {% if not has_stage and not is_there %}
      {% set state = 'not visible to role ' ~ role ~ '; if it is not staged: ' ~ stage_it %}
    {% elif file.version != pin.version and has_stage %}
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
    {% elif is_there %}
      {% set state = 'ok' if function in names else 'ok: a secondary role may use the function' %}
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
      'function': 'yes' if is_there else 'no',
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

{% macro snowflake___golden_report(pin, inventory, grant) %}
  {#
    A function that exists is called, so a role that may use it need not create it. A missing one is
    created, whatever var tf_embeddings_manage says: the user asked for it. The role that creates
    it, or manages the schema, also grants it, because SHOW hides it from roles that may not use it.
  #}
  {% set function = tf_embeddings.snowflake___function_name(pin, 'verify') %}
  {% set names = inventory.functions | map(attribute='name') | list %}
  {% set is_created = function.split('.') | last in names %}
  {% set file = tf_embeddings._staged_file(pin, inventory.files) %}
  {% set is_staged = file and file.version == pin.version %}
  {# A secondary role may use what the current role does not see. #}
  {% set report = '' if is_created or not inventory.notes
    else tf_embeddings._caught(function ~ '()::varchar') %}
  {% if report.startswith('{') %}
    {{ return(report) }}
  {% endif %}

  {% if not is_staged and (not is_created or not inventory.notes) %}
    {% set where = "on " ~ inventory.place ~ " as version " ~ file.version ~ ". Correct the pin. "
      if file else "not on " ~ inventory.place ~ ". " ~ (inventory.notes + [""]) | join(" ") %}
    {% do exceptions.raise_compiler_error(
      "verify: model '" ~ pin.model ~ "' (version " ~ pin.version ~ ", build " ~ pin.build
      ~ ") is " ~ where ~ "Stage it with: " ~ tf_embeddings._stage_command(pin.model)
    ) %}
  {% endif %}
  {% for one in inventory.pinned if one.model == pin.model and one.state.startswith('damaged') %}
    {% do exceptions.raise_compiler_error(
      "verify: model '" ~ pin.model ~ "' (version " ~ pin.version ~ ", build " ~ pin.build
      ~ ") is " ~ one.state
    ) %}
  {% endfor %}
  {% if not is_created %}
    {% do run_query(tf_embeddings._create_function(pin, 'verify')) %}
  {% endif %}
  {% if grant and (not is_created or tf_embeddings._settings().manage) %}
    {% set embed = tf_embeddings.snowflake___function_name(pin).split('.') | last %}
    {% set kinds = ['embed', 'verify'] if embed in names else ['verify'] %}
    {% for statement in tf_embeddings._grants([pin], kinds) %}
      {% do run_query(statement) %}
    {% endfor %}
  {% endif %}
  {{ return(run_query('select ' ~ function ~ '()').rows[0][0]) }}
{% endmacro %}

{% macro snowflake___refusal(pin) %}
  {% set call = tf_embeddings._function_name(pin) ~ "('hello', false)" %}
  {% set said = tf_embeddings._caught("as_varchar(get(" ~ call ~ ", 'status'))") %}
  {% if said in ['ok', 'blank'] %}
    {{ return(none) }}
  {% endif %}

  {% set cause = tf_embeddings._cause(said, pin) %}
  {# The runtime's own sentence, after the traceback, says what to do. #}
  {% set ours = modules.re.search('tf_embeddings: [^\\n]*', said) %}
  {% set words = modules.re.sub('\\s+', ' ', ours.group(0) if ours else said) | trim %}
  {{ return(cause or words[:400]) }}
{% endmacro %}
