{% macro snowflake___staging_place(packages) %}
  {% set settings = tf_embeddings._settings() %}
  {% do tf_embeddings._require_packages(packages, 'stage_model: the model') %}
  {% set role = tf_embeddings._staging_role() %}
  {# Also if a different role manages: --verify creates the functions anyway. #}
  {% set warnings = tf_embeddings._staging_check_repository(role) %}
  {% do warnings.extend(tf_embeddings._staging_check_packages(packages, role)) %}
  {% set shown = tf_embeddings._staging_stage(role) %}
  {% set encryption = tf_embeddings._encryption_note(shown) %}
  {% if encryption %}
    {% do warnings.append(encryption) %}
  {% endif %}
  {% if not shown and not settings.manage %}
    {% set stage = tf_embeddings._stage_name() %}
    {% do exceptions.raise_compiler_error(
      "stage_model: role " ~ role ~ " sees no stage " ~ stage ~ ", and var tf_embeddings_manage is "
      ~ (settings.managers | join(', ') or "false") ~ ", so it is not created here. "
      ~ ("Run this with --target " ~ settings.managers[0] ~ ", or let" if settings.managers
        else "Let")
      ~ " a role that may create it run:\n"
      ~ tf_embeddings._create_stage() | join(';\n') ~ ";\n"
      ~ "grant usage on schema " ~ tf_embeddings._schema_name() ~ " to role " ~ role ~ ";\n"
      ~ "grant read, write on stage " ~ stage ~ " to role " ~ role ~ ";"
    ) %}
  {% endif %}
  {# LiteRT is not known to be in Anaconda's channel; see _require_packages. #}
  {% set is_anaconda = settings.artifact_repository | lower
    == 'snowflake.snowpark.anaconda_shared_repository' %}
  {{ return({
    'stage': '@' ~ tf_embeddings._stage_name(),
    'engines': ['tensorflow'] if is_anaconda else ['litert', 'tensorflow'],
    'warnings': warnings | unique | list,
  }) }}
{% endmacro %}

{% macro snowflake___staging_upload(path, pin, bytes, dry_run, resolved) %}
  {#
    A file on the stage is complete if it has the artifact's size: the name holds a digest of the
    content. A file of a different size is left from a broken upload, and is replaced. Functions
    that run it are broken until then, as Snowflake resolves IMPORTS at each call; the answer lists
    them.
  #}
  {% set role = tf_embeddings._staging_role() %}
  {% if pin.packages | sort != resolved | sort %}
    {% do tf_embeddings._require_packages(pin.packages, 'stage_model: the model') %}
    {% do tf_embeddings._staging_check_packages(pin.packages, role) %}
  {% endif %}
  {% set place = '@' ~ tf_embeddings._stage_name() ~ '/' ~ tf_embeddings._artifact_path(pin) %}
  {% set stage = tf_embeddings._staging_stage(role) %}
  {% if not stage and dry_run %}
    {{ return({'place': place, 'was_there': false, 'size': none, 'broken': []}) }}
  {% endif %}
  {% if not stage %}
    {% do tf_embeddings._staging_create(role) %}
    {% set stage = tf_embeddings._staging_stage(role) or {} %}
  {% endif %}

  {% set sizes = tf_embeddings._staged_sizes(bytes, stage) %}
  {% set size = tf_embeddings._staging_size(pin, role) %}
  {% set broken = [] %}
  {% if size is not none and size not in sizes %}
    {% do broken.extend(tf_embeddings._staging_broken(pin)) %}
  {% endif %}
  {% set found = {'place': place, 'was_there': size in sizes, 'size': size, 'broken': broken} %}
  {% if size in sizes or dry_run %}
    {{ return(found) }}
  {% endif %}

  {% do tf_embeddings._staging_send(path, pin, bytes, role, overwrite=size is not none) %}
  {% set size = tf_embeddings._staging_size(pin, role) %}
  {% if size not in sizes %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ place ~ (" has " ~ size ~ " bytes" if size is not none else " is not there")
      ~ " after the upload of " ~ bytes ~ " bytes. Run it again."
    ) %}
  {% endif %}
  {{ return(found) }}
{% endmacro %}

{% macro snowflake___staging_flags() %}
  {#
    A target of the role that owns the functions, and the grants from the command line; every
    command knows those of the project.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set name = target.name if settings.manage else (settings.managers + [target.name])[0] %}
  {% set given = invocation_args_dict.get('vars') or {} %}
  {% set given = fromyaml(given) if given is string else given %}
  {% set has_grants = given is mapping and 'tf_embeddings_grants' in given %}
  {{ return({
    'target': name,
    'vars': " --vars '{tf_embeddings_grants: [" ~ settings.grants | join(', ') ~ "]}'"
      if settings.grants and has_grants else '',
  }) }}
{% endmacro %}

{% macro snowflake___deploy(pin, inventory) %}
  {#
    Creates what the hook would, for a role that stages models for others. They set var
    tf_embeddings_manage to false, so what is missing is created and granted whatever it says, also
    what an earlier call left without a grant.
  #}
  {% set statements = tf_embeddings._grants([pin], ['embed', 'verify']) %}
  {% if inventory.pinned[0].function == 'no' %}
    {% set statements = [tf_embeddings._create_function(pin)] + statements %}
  {% endif %}
  {% for statement in statements %}
    {% do run_query(statement) %}
  {% endfor %}
{% endmacro %}

{% macro _staging_role() %}
  {# The role of the session, as _current_role returns it. The first query: a login fails here. #}
  {% do tf_embeddings._staging_step('Asking for the role of the session') %}
  {{ return(tf_embeddings._current_role()) }}
{% endmacro %}

{% macro _staging_stage(role) %}
  {# The stage as SHOW STAGES returns it, or none if the role does not see it. #}
  {% if not tf_embeddings._shown('schemas', role) %}
    {{ return(none) }}
  {% endif %}

  {% set stage = tf_embeddings._shown('stages', role) %}
  {% if stage and 'EXTERNAL' in stage.type | default('') | string | upper %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ tf_embeddings._stage_name() ~ " is an external stage; files can be put on "
      ~ "internal ones only. Name a different one in var tf_embeddings_stage."
    ) %}
  {% endif %}
  {{ return(stage) }}
{% endmacro %}

{% macro _staging_create(role) %}
  {#
    Creates the stage, and the schema if it is missing, as the hook does, because the first upload
    comes before the first run. CREATE SCHEMA IF NOT EXISTS needs its privilege even if the schema
    exists: it is skipped then. The hook cannot skip it, and needs the privilege.
  #}
  {% if not tf_embeddings._settings().manage %}
    {{ return('') }}
  {% endif %}
  {% set schema, stage = tf_embeddings._create_stage() %}
  {% set database = tf_embeddings._identifier(tf_embeddings._settings().database) %}
  {% set to_role = ' to role ' ~ role %}
  {% if not tf_embeddings._shown('schemas', role) %}
    {% do tf_embeddings._staging_query(
      schema,
      'Creating schema ' ~ tf_embeddings._schema_name(),
      next='Let its owner run: grant usage, create schema on database ' ~ database ~ to_role
    ) %}
  {% endif %}
  {% do tf_embeddings._staging_query(
    stage,
    'Creating stage ' ~ tf_embeddings._stage_name(),
    next="If a different role owns the schema and creates the functions, set var "
    ~ "tf_embeddings_manage to false. Else let the database's owner run: grant create schema on "
    ~ "database " ~ database ~ to_role ~ ". Let the schema's owner run: grant usage, create stage, "
    ~ "create function on schema " ~ tf_embeddings._schema_name() ~ to_role
  ) %}
{% endmacro %}

{% macro _staging_size(pin, role) %}
  {#
    The size in bytes of a pin's artifact on the stage; none if it is not there.
    https://docs.snowflake.com/en/sql-reference/sql/list
  #}
  {% set path = tf_embeddings._artifact_path(pin) %}
  {% set files = tf_embeddings._staging_query(
    'list ' ~ tf_embeddings._stage_location(path),
    'Listing stage ' ~ tf_embeddings._stage_name(),
    next='Let its owner run: grant read, write on stage ' ~ tf_embeddings._stage_name()
    ~ ' to role ' ~ role
  ) %}
  {% for file in files if file.name.endswith('/' ~ path) %}
    {{ return(file.size | int) }}
  {% endfor %}
  {{ return(none) }}
{% endmacro %}

{% macro _staging_send(path, pin, bytes, role, overwrite) %}
  {#
    The upload. PUT succeeds as a statement even if the upload fails; its row has the status.
    https://docs.snowflake.com/en/sql-reference/sql/put
  #}
  {% set folder = [pin.model, pin.version] | join('/') %}
  {% set file = 'file://' ~ path.replace('\\', '\\\\').replace("'", "\\'") %}
  {% do log('tf_embeddings_upload ' ~ tojson({'bytes': bytes}), info=true) %}
  {% set rows = tf_embeddings._staging_query(
    "put '" ~ file ~ "' " ~ tf_embeddings._stage_location(folder ~ '/')
    ~ ' auto_compress = false overwrite = ' ~ overwrite | lower ~ ' parallel = 8',
    'Putting the artifact on stage ' ~ tf_embeddings._stage_name(),
    next='Let its owner run: grant read, write on stage ' ~ tf_embeddings._stage_name()
    ~ ' to role ' ~ role
  ) %}
  {% do log('tf_embeddings_uploaded', info=true) %}
  {% for row in rows if row.status | upper not in ['UPLOADED', 'SKIPPED'] %}
    {% do exceptions.raise_compiler_error(
      "stage_model: putting the artifact on stage " ~ tf_embeddings._stage_name() ~ " ended with "
      ~ row.status ~ ": " ~ row.message ~ ". Run it again."
    ) %}
  {% endfor %}
{% endmacro %}

{% macro _staging_broken(pin) %}
  {#
    The names of the functions of a pin's build, with any settings.
    https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
  #}
  {% set functions = tf_embeddings._staging_query(
    "show user functions like '%" ~ pin.build ~ "%' in schema " ~ tf_embeddings._schema_name(),
    'Looking for functions in schema ' ~ tf_embeddings._schema_name()
  ) %}
  {% set names = [] %}
  {% set suffix = '_' ~ pin.model ~ '_' ~ pin.build ~ '_' %}
  {% for function in functions if suffix in function.name | lower %}
    {% do names.append(function.name | lower) %}
  {% endfor %}
  {{ return(names | sort) }}
{% endmacro %}

{% macro _staging_check_repository(role) %}
  {#
    Asks whether a role may use the repository of the packages, which creating a function requires.
    Returns a list of warnings. A missing role is only a warning, because no page says whether roles
    granted to PUBLIC count.
  #}
  {% set user = tf_embeddings._repository_role() %}
  {% if not user %}
    {{ return([]) }}
  {% endif %}
  {% do tf_embeddings._staging_step('Asking for the database role ' ~ user) %}
  {% set is_activated = tf_embeddings._caught(tf_embeddings._has_repository_role()) %}
  {% set may_not = is_activated | lower == 'false' %}
  {{ return([tf_embeddings._staging_may_not_use(role)] if may_not else []) }}
{% endmacro %}

{% macro _staging_may_not_use(role) %}
  {# The warning that a role may be unable to use the repository of the packages. #}
  {% set repository = tf_embeddings._settings().artifact_repository | lower %}
  {{ return(
    "role " ~ role ~ " may be unable to use " ~ repository ~ ", where the function's Python "
    ~ "packages come from. If the function cannot be created, let "
    ~ tf_embeddings._repository_grant(role) ~ "; or set var tf_embeddings_artifact_repository to a "
    ~ "different one, such as snowflake.snowpark."
    ~ ("anaconda" if "pypi_shared" in repository else "pypi") ~ "_shared_repository."
  ) }}
{% endmacro %}

{% macro _staging_check_packages(packages, role) %}
  {#
    Has Snowflake resolve the packages of a function, in the versions that it would be created with,
    from any repository. What does not resolve is an error; where the answer is about something
    else, such as an account that does not know the call, it is a warning. Returns a list of them.
    https://docs.snowflake.com/en/sql-reference/functions/system_resolve_python_packages
  #}
  {% if not packages %}
    {{ return([]) }}
  {% endif %}
  {% set settings = tf_embeddings._settings() %}
  {% set repository = settings.artifact_repository %}
  {% set asked = tf_embeddings._packages({'packages': packages}) %}
  {% set list = "('" ~ asked | join("', '") ~ "')" %}
  {% set arguments = [] %}
  {% for argument in [settings.runtime_version, list, repository] %}
    {% do arguments.append("'" ~ argument.replace("'", "''") ~ "'") %}
  {% endfor %}
  {% set call = 'system$resolve_python_packages(' ~ arguments | join(', ') ~ ')::varchar' %}
  {% do tf_embeddings._staging_step('Asking ' ~ repository ~ ' for the packages') %}
  {% set answer = tf_embeddings._caught(call) | trim %}
  {% if answer.startswith('[') %}
    {{ return([]) }}
  {% endif %}

  {% set said = answer | lower %}
  {% set is_named = [] %}
  {% for package in asked if package.split('==') | first | lower in said %}
    {% do is_named.append(package) %}
  {% endfor %}
  {% set words = modules.re.sub('\\s+', ' ', answer)[:400] %}
  {% if 'anaconda terms' in said %}
    {% do exceptions.raise_compiler_error(
      "stage_model: this account has not accepted the terms of Anaconda, whose packages the "
      ~ "function would use. Let ORGADMIN accept them in Snowsight (Admin, Terms), or set var "
      ~ "tf_embeddings_artifact_repository to snowflake.snowpark.pypi_shared_repository."
    ) %}
  {% elif tf_embeddings._is_of_repository(answer) and not settings.manage %}
    {{ return([tf_embeddings._staging_may_not_use(role)]) }}
  {% elif tf_embeddings._is_of_repository(answer) %}
    {% do exceptions.raise_compiler_error(
      "stage_model: role " ~ role ~ " may not use " ~ repository ~ ", where the function's Python "
      ~ "packages come from. Let " ~ tf_embeddings._repository_grant(role) ~ "; or set var "
      ~ "tf_embeddings_artifact_repository to a different one."
    ) %}
  {% elif is_named or 'package' in said | replace('resolve_python_packages', '') %}
    {% do exceptions.raise_compiler_error(
      "stage_model: " ~ tf_embeddings._unresolved(asked) ~ " Snowflake says: " ~ words
    ) %}
  {% endif %}
  {{ return([
    "whether " ~ repository ~ " has " ~ asked | join(', ') ~ " for Python "
    ~ settings.runtime_version ~ " is not known, because Snowflake says: " ~ words
  ]) }}
{% endmacro %}

{% macro _staging_step(doing, next=none) %}
  {#
    A line of the log that tells scripts/stage_model.py what is being done, and what to do if it
    fails: a macro cannot catch an error.
  #}
  {% do log('tf_embeddings_step ' ~ tojson({'doing': doing, 'next': next}), info=true) %}
{% endmacro %}

{% macro _staging_query(sql, doing, next=none) %}
  {# Runs a statement and returns its rows as maps with lower case keys; see _staging_step. #}
  {% do tf_embeddings._staging_step(doing, next) %}
  {{ return(tf_embeddings._rows(sql)) }}
{% endmacro %}
