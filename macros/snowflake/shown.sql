{% macro _shown(kind, role=none) %}
  {#
    The schema (kind 'schemas') or the stage (kind 'stages') of the settings, as SHOW returns it;
    none if it does not exist or the current role has no privilege on it: secondary roles, with
    which queries may run, do not count. SHOW's pattern has wildcards and ignores case, so the names
    are compared here. With `role`, scripts/stage_model.py learns what to
    do if looking there is refused.
    https://docs.snowflake.com/en/sql-reference/sql/show-schemas
    https://docs.snowflake.com/en/sql-reference/sql/show-stages
  #}
  {% set settings = tf_embeddings._settings() %}
  {% if kind == 'schemas' %}
    {% set name = settings.schema %}
    {% set place = 'database ' ~ tf_embeddings._identifier(settings.database) %}
    {% set next = 'Name a different one in var tf_embeddings_database, or let its owner run: ' %}
  {% else %}
    {% set name = settings.stage %}
    {% set place = 'schema ' ~ tf_embeddings._schema_name() %}
    {% set next = 'Let its owner run: ' %}
  {% endif %}

  {% set stored = tf_embeddings._stored_name(name) %}
  {# No name has a backslash. #}
  {% set pattern = "'" ~ stored.replace("'", "\\'") ~ "'" %}
  {% set show = 'show ' ~ kind ~ ' like ' ~ pattern ~ ' in ' ~ place %}
  {% if role is none %}
    {% set rows = tf_embeddings._rows(show) %}
  {% else %}
    {% set rows = tf_embeddings._staging_query(
      show,
      'Looking into ' ~ place,
      next=next ~ 'grant usage on ' ~ place ~ ' to role ' ~ role
    ) %}
  {% endif %}
  {% for row in rows if row.name == stored %}
    {{ return(row) }}
  {% endfor %}
  {{ return(none) }}
{% endmacro %}

{% macro _current_role() %}
  {#
    The role of the session, as SQL; the profile need not name it. It comes as it is stored: in
    upper case if it was created without quotes.
  #}
  {% set role = run_query('select current_role()').rows[0][0] or 'PUBLIC' %}
  {% set is_plain = modules.re.match('[A-Z_][A-Z0-9_$]*$', role) %}
  {{ return(role if is_plain else '"' ~ role.replace('"', '""') ~ '"') }}
{% endmacro %}

{% macro _created_functions() %}
  {#
    The functions of the schema with the package's names and signatures, as maps: name, model,
    version, build; is_ours, whether the comment says so too; place, drop and age as in _inventory.
    Only check functions take no arguments, so a model named verify_… is not taken for a check.
    https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
  #}
  {% set schema = tf_embeddings._schema_name() %}
  {% set built = '([A-Z][A-Z0-9_]{0,39})_(B[0-9A-F]{12})_[0-9A-F]{8}' %}
  {% set functions = [] %}
  {% set show = "show user functions like 'tf_embeddings_%' in schema " ~ schema %}
  {% for row in tf_embeddings._rows(show) %}
    {# SHOW has NAME(VARCHAR(9), BOOLEAN) RETURN OBJECT; DROP and GRANT take types only. #}
    {% set signature = row.arguments[row.name | length:].split(' RETURN')[0] %}
    {% set signature = modules.re.sub('[(][0-9, ]+[)]', '', signature) | lower %}
    {% set is_check = signature == '()' %}
    {% set match = modules.re.match(
      'TF_EMBEDDINGS_' ~ ('VERIFY_' if is_check else '') ~ built ~ '$', row.name
    ) %}
    {% if match and signature in ['()', '(varchar, boolean)'] %}
      {% set comment = row.description | string %}
      {% set version = modules.re.search('version (v[0-9a-f]{12})', comment) %}
      {% set call = schema ~ '.' ~ row.name | lower ~ signature %}
      {% do functions.append({
        'name': row.name | lower,
        'model': match.group(1) | lower,
        'version': version.group(1) if version else '',
        'build': match.group(2) | lower,
        'is_ours': comment.startswith('tf_embeddings:'),
        'place': call,
        'drop': 'drop function if exists ' ~ call,
        'age': tf_embeddings._age_in_days(row.created_on),
      }) %}
    {% endif %}
  {% endfor %}
  {{ return(functions) }}
{% endmacro %}

{% macro _listed_files() %}
  {#
    The artifacts on the stage, as in _inventory; other files are ignored. Names that LIST returns
    begin with the stage's. REMOVE removes all files whose names begin with the given one, so an
    artifact with such neighbors cannot be dropped.
    https://docs.snowflake.com/en/sql-reference/sql/list
    https://docs.snowflake.com/en/sql-reference/sql/remove
  #}
  {% set stage = tf_embeddings._stored_name(tf_embeddings._settings().stage) %}
  {% set paths = [] %}
  {% set listed = {} %}
  {% for row in tf_embeddings._rows('list ' ~ tf_embeddings._stage_location()) %}
    {% if (row.name | lower).startswith(stage | lower ~ '/') %}
      {% set path = row.name[stage | length + 1:] %}
      {% do paths.append(path) %}
      {% do listed.update({path: row}) %}
    {% endif %}
  {% endfor %}

  {% set files = [] %}
  {% for path in paths %}
    {% set match = modules.re.match(
      '([a-z][a-z0-9_]{0,39})/(v[0-9a-f]{12})/\\1-(b[0-9a-f]{12})[.]zip$', path
    ) %}
    {% if match %}
      {% set neighbors = [] %}
      {% for other in paths if other != path and other.startswith(path) %}
        {% do neighbors.append(other) %}
      {% endfor %}
      {% set location = tf_embeddings._stage_location(path) %}
      {% do files.append({
        'model': match.group(1),
        'version': match.group(2),
        'build': match.group(3),
        'bytes': listed[path].size | int,
        'place': location,
        'drop': none if neighbors else 'remove ' ~ location,
        'age': tf_embeddings._age_in_days(listed[path].last_modified),
      }) %}
    {% endif %}
  {% endfor %}
  {{ return(files) }}
{% endmacro %}

{% macro _staged_sizes(bytes, stage) %}
  {#
    The sizes that LIST may show for a complete file of so many bytes. Client-side encryption, which
    the type of a stage does not mention, pads to 16 bytes.
  #}
  {% if 'NO CSE' in (stage or {}).type | default('') | string | upper %}
    {{ return([bytes]) }}
  {% endif %}
  {{ return([bytes, bytes // 16 * 16 + 16]) }}
{% endmacro %}

{% macro _age_in_days(time) %}
  {#
    How old something is. SHOW returns the creation as a time, LIST the last change as text, such as
    Wed, 11 Nov 2026 10:00:00 GMT. 0, as for something new, if it cannot be read.
    https://docs.snowflake.com/en/sql-reference/sql/list
  #}
  {% set datetime, utc = modules.datetime.datetime, modules.pytz.utc %}
  {% set text = time | string | trim %}
  {% set day = '[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT' %}
  {% if modules.re.fullmatch(day, text) %}
    {% set time = datetime.strptime(text, '%a, %d %b %Y %H:%M:%S GMT') %}
  {% elif modules.re.match('[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}', text) %}
    {# The offset of a time in text is ignored: it is less than a day. #}
    {% set seconds = text[:19].replace('T', ' ') %}
    {% set time = datetime.strptime(seconds, '%Y-%m-%d %H:%M:%S') if time is string else time %}
  {% else %}
    {{ return(0) }}
  {% endif %}
  {% set time = utc.localize(time) if time.tzinfo is none else time %}
  {{ return([0, (datetime.now(utc) - time).total_seconds() / 86400] | max) }}
{% endmacro %}

{% macro _lacking() %}
  {#
    The privileges that the hook needs and this session's role lacks, in words. Those on a schema
    that does not exist yet are not known. IS_ROLE_IN_SESSION follows role inheritance; it also
    counts secondary roles, which CREATE does not.
    https://docs.snowflake.com/en/sql-reference/sql/show-grants
    https://docs.snowflake.com/en/sql-reference/functions/is_role_in_session
  #}
  {% set database = 'database ' ~ tf_embeddings._identifier(tf_embeddings._settings().database) %}
  {% set wanted = [['create schema', database]] %}
  {% if tf_embeddings._shown('schemas') %}
    {% set schema = 'schema ' ~ tf_embeddings._schema_name() %}
    {% do wanted.extend([['create stage', schema], ['create function', schema]]) %}
  {% endif %}

  {% set answers = [] %}
  {% set granted = {} %}
  {% for privilege, object in wanted %}
    {% if object not in granted %}
      {% do granted.update({object: tf_embeddings._rows('show grants on ' ~ object)}) %}
    {% endif %}
    {% set holds = ['false'] %}
    {% for row in granted[object] if row.privilege | lower in [privilege, 'ownership'] %}
      {% do holds.append(
        "is_role_in_session('" ~ row.grantee_name.replace("'", "\\'") ~ "')"
      ) %}
    {% endfor %}
    {% do answers.append('(' ~ holds | unique | join(' or ') ~ ') as answer_' ~ loop.index) %}
  {% endfor %}
  {% set row = run_query('select ' ~ answers | join(', ')).rows[0] %}

  {% set lacking = [] %}
  {% for privilege, object in wanted %}
    {% do lacking.append(privilege ~ ' on ' ~ object) if not row[loop.index0] %}
  {% endfor %}
  {{ return(lacking) }}
{% endmacro %}

{% macro _encryption_note(stage) %}
  {#
    A sentence if var tf_embeddings_stage_encryption is set and the stage is encrypted differently;
    else none. The encryption of a stage cannot be changed.
    https://docs.snowflake.com/en/sql-reference/sql/create-stage
  #}
  {% if not stage or tf_embeddings._scoped_vars(['stage_encryption']).stage_encryption is none %}
    {{ return(none) }}
  {% endif %}
  {% set has = 'SNOWFLAKE_SSE' if 'NO CSE' in stage.type | default('') | string | upper
    else 'SNOWFLAKE_FULL' %}
  {% set wanted = tf_embeddings._settings().stage_encryption %}
  {{ return(none if has == wanted else
    "Stage " ~ tf_embeddings._stage_name() ~ " is encrypted with " ~ has ~ ", and var "
    ~ "tf_embeddings_stage_encryption is " ~ wanted ~ ": a stage keeps the encryption that it was "
    ~ "created with. Correct the var, or name a new stage in var tf_embeddings_stage and stage the "
    ~ "models again."
  ) }}
{% endmacro %}
