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
    {% set is_listed = function in names %}
    {% set refusal = tf_embeddings._refusal(pin) if macro == 'status' and not is_listed else none %}
    {% set is_there = is_listed or (macro == 'status' and not refusal) %}
    {% set stage_it = tf_embeddings._stage_command(pin.model) %}
    {% if not has_stage and refusal and 'not exist' not in refusal %}
      {% set state = 'cannot run: ' ~ refusal %}
    {% elif not has_stage and not is_there %}
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
  {% set word = '5:hellohello' if pin.kind == 'pairs' else 'hello' %}
  {% set call = tf_embeddings._function_name(pin) ~ "('" ~ word ~ "', false)" %}
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

{% macro snowflake___copy_artifact(model, source) %}
  {#
    Only schema and stage are created before the source is known to be right. A complete file is not
    copied again; one of a wrong size, which a broken copy or upload left, is, as COPY FILES
    overwrites. Functions that run it are broken until then; see snowflake___staging_upload.
    https://docs.snowflake.com/en/sql-reference/sql/copy-files
  #}
  {% set models = tf_embeddings._settings().models %}
  {% set pin = tf_embeddings._checked_pin(model, models[model], 'stage_copy') if model in models
    else none %}
  {% set artifact = tf_embeddings._copy_source(model, source, pin) %}
  {% set is_pinned = pin is not none and pin.build == artifact.build %}
  {% set is_known = is_pinned and 'bytes' in pin %}
  {% if is_known and artifact['bytes'] not in tf_embeddings._staged_sizes(pin['bytes'], none) %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ artifact.place ~ " has " ~ artifact['bytes'] ~ " bytes instead of "
      ~ pin['bytes'] ~ ", so it is not complete. Put it there again, uncompressed."
    ) %}
  {% endif %}
  {% set stage = tf_embeddings._copy_stage() %}
  {% set found = pin if is_known else tf_embeddings._copy_pin(model, artifact) %}
  {% if is_pinned and found.version != pin.version %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ artifact.place ~ " is version " ~ found.version ~ ", and the project pins "
      ~ "version " ~ pin.version ~ " of model '" ~ model ~ "'. Correct the pin."
    ) %}
  {% endif %}

  {% set path = tf_embeddings._artifact_path(found) %}
  {% set place = '@' ~ tf_embeddings._stage_name() ~ '/' ~ path %}
  {% set sizes = tf_embeddings._staged_sizes(found['bytes'], stage) %}
  {% set before = tf_embeddings._staged_file(found, tf_embeddings._listed_files()) %}
  {% if before and before.version != found.version %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: the pin of model '" ~ model ~ "' is a "
      ~ tf_embeddings._staged_state(found, before) ~ "."
    ) %}
  {% endif %}
  {% if before and before['bytes'] in sizes %}
    {% do print(model ~ ' is staged already: ' ~ place) %}
  {% else %}
    {% set folder = path.split('/')[:-1] | join('/') ~ '/' %}
    {% set refusal = tf_embeddings._failure(
      'copy files into ' ~ tf_embeddings._stage_location(folder) ~ ' from '
      ~ tf_embeddings._text_literal(artifact.folder) ~ " files = ('" ~ artifact.name ~ "')"
    ) %}
    {% if refusal %}
      {% do exceptions.raise_compiler_error(
        "stage_copy: copying " ~ artifact.place ~ " to " ~ place ~ " failed: " ~ refusal
        ~ " The role of target '" ~ target.name ~ "' needs READ on the source (USAGE on an "
        ~ "external stage), and READ and WRITE on " ~ tf_embeddings._stage_name() ~ ". Then run "
        ~ "it again."
      ) %}
    {% endif %}
    {% set after = tf_embeddings._staged_file(found, tf_embeddings._listed_files()) %}
    {% if not after or after['bytes'] not in sizes %}
      {% do exceptions.raise_compiler_error(
        "stage_copy: after the copy, " ~ place
        ~ (" has " ~ after['bytes'] ~ " bytes instead of " ~ found['bytes'] if after
          else " is not there; the URL of an external stage must end with /")
        ~ ". Run it again."
      ) %}
    {% endif %}
    {% do print(model ~ ' is staged: ' ~ place) %}
  {% endif %}
  {% set broken = [] %}
  {% for one in tf_embeddings._created_functions() if before and before['bytes'] not in sizes %}
    {% do broken.append(one.name) if [one.model, one.build] == [model, found.build] %}
  {% endfor %}
  {% if broken %}
    {% do print(
      'The file there had ' ~ before['bytes'] ~ ' bytes instead of ' ~ found['bytes'] ~ '. These '
      ~ 'functions run it and work again now: ' ~ broken | sort | join(', ')
    ) %}
  {% endif %}

  {% if is_known %}
    {% do print('The project pins this build of ' ~ model ~ ' already.') %}
  {% else %}
    {% do tf_embeddings._print_pin(
      dict(found, packages=pin.packages) if is_pinned else found
    ) %}
    {% do print('This is the pin of ' ~ model ~ ': put it into dbt_project.yml (or vars.yml).') %}
  {% endif %}
{% endmacro %}
