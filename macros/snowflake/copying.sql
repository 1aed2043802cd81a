{% macro _copy_source(model, source, pin) %}
  {#
    The artifact to copy, as a map: name, build and bytes, as LIST shows them; folder, the location
    that it lies in; and place. `source` is as in _copy_artifact. In a folder, the project's pin
    says which build it must be; a file that is named says so itself.
  #}
  {% set place = source.stage ~ source.folder ~ (source.file or '') %}
  {% set listing = 'list ' ~ tf_embeddings._text_literal(place) %}
  {% set refusal = tf_embeddings._failure(listing) %}
  {% if refusal %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ place ~ " cannot be listed: " ~ refusal ~ " Let its owner grant USAGE on "
      ~ "its database and schema, and READ on the stage or git repository (USAGE on an external "
      ~ "stage), to the role of target '" ~ target.name ~ "'."
    ) %}
  {% endif %}

  {% set wanted = '^' ~ model ~ '-(b[0-9a-f]{12})[.]zip$' %}
  {% set is_named = source.file is not none %}
  {% if is_named and not modules.re.match(wanted, source.file) %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: from names the file " ~ source.file ~ ", which is not an artifact of model '"
      ~ model ~ "'; its name must be " ~ model ~ "-b and 12 hex digits and .zip, as staging gave "
      ~ "it."
    ) %}
  {% endif %}
  {% set found = [] %}
  {% set others = [] %}
  {% for row in tf_embeddings._rows(listing) %}
    {% set name = row.name.split('/')[-1] %}
    {% set match = modules.re.match(wanted, name) %}
    {% if match and name == (source.file or name) %}
      {% do found.append({
        'listed': row.name, 'name': name, 'build': match.group(1), 'bytes': row.size | int
      }) %}
    {% else %}
      {% do others.append(name) %}
    {% endif %}
  {% endfor %}
  {% if not found %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ place ~ " has no artifact of model '" ~ model ~ "' (it has: "
      ~ (others[:5] | join(', ') or 'nothing') ~ (', …' if others | length > 5 else '')
      ~ "). Its file must be named as staging named it, " ~ model ~ "-b….zip, and not be "
      ~ "compressed."
    ) %}
  {% endif %}

  {% set pinned = [] %}
  {% for one in found if pin is not none and one.build == pin.build %}
    {% do pinned.append(one) %}
  {% endfor %}
  {% set places = [] %}
  {% for one in pinned or found %}
    {% do one.update({'folder': tf_embeddings._copy_folder(source, one)}) %}
    {% do places.append(one.folder ~ one.name) %}
  {% endfor %}
  {% if pin is not none and not pinned and not is_named %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: the project pins build " ~ pin.build ~ " of model '" ~ model ~ "', and " ~ place
      ~ " has: " ~ places | join(', ') ~ ". Put the pinned build there, or name the file of the "
      ~ "new one in from, to copy it and get its pin."
    ) %}
  {% endif %}
  {% if places | length > 1 %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ place ~ " has several artifacts of model '" ~ model ~ "': "
      ~ places | join(', ') ~ ". Name one of them in from."
    ) %}
  {% endif %}
  {{ return(dict((pinned or found)[0], place=places[0])) }}
{% endmacro %}

{% macro _copy_folder(source, file) %}
  {#
    The location of the folder that a listed file lies in. LIST gives names that begin with the
    stage's, a URL or a branch, so the end of the name is tried until LIST finds the file there.
    https://docs.snowflake.com/en/sql-reference/sql/list
  #}
  {% set parts = file.listed.split('/')[:-1] %}
  {% for depth in range(parts | length + 1) %}
    {% set inner = parts[parts | length - depth:] | join('/') ~ ('/' if depth else '') %}
    {% set folder = source.stage ~ source.folder ~ inner %}
    {% for row in tf_embeddings._rows(
      'list ' ~ tf_embeddings._text_literal(folder ~ file.name)
    ) if row.name == file.listed %}
      {{ return(folder) }}
    {% endfor %}
  {% endfor %}
  {{ return(source.stage ~ source.folder) }}
{% endmacro %}

{% macro _copy_stage() %}
  {#
    The package's stage as SHOW STAGES returns it. It and the schema are created if they are
    missing, as the hook does.
  #}
  {% set settings, name = tf_embeddings._settings(), tf_embeddings._stage_name() %}
  {% set has_schema = tf_embeddings._shown('schemas') is not none %}
  {% set shown = tf_embeddings._shown('stages') if has_schema else none %}
  {% if shown and 'EXTERNAL' in shown.type | string | upper %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ name ~ " is an external stage, and artifacts must be on an internal one. "
      ~ "Name a different one in var tf_embeddings_stage."
    ) %}
  {% elif shown %}
    {{ return(shown) }}
  {% endif %}

  {% set role = target.role or '…' %}
  {% set statements = tf_embeddings._create_stage() %}
  {% if not settings.manage %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: the role of target '" ~ target.name ~ "' sees no stage " ~ name ~ ", and var "
      ~ "tf_embeddings_manage is " ~ (settings.managers | join(', ') or "false") ~ ", so it is not "
      ~ "created here. "
      ~ ("Run this with --target " ~ settings.managers[0] ~ ", or let" if settings.managers
        else "Let")
      ~ " a role that may create it run:\n" ~ statements | join(';\n') ~ ";\ngrant usage on schema "
      ~ tf_embeddings._schema_name() ~ " to role " ~ role ~ ";\ngrant read, write on stage " ~ name
      ~ " to role " ~ role ~ ";"
    ) %}
  {% endif %}
  {% for statement in (statements[1:] if has_schema else statements) %}
    {% set refusal = tf_embeddings._failure(statement) %}
    {% if refusal %}
      {% do exceptions.raise_compiler_error(
        "stage_copy: " ~ statement.split(' comment')[0] ~ " failed: " ~ refusal ~ " Let its owner "
        ~ "grant CREATE SCHEMA on the database, or CREATE STAGE on the schema, to role " ~ role
        ~ ", or set var tf_embeddings_manage to the target of the role that owns them."
      ) %}
    {% endif %}
  {% endfor %}
  {{ return(tf_embeddings._shown('stages')) }}
{% endmacro %}

{% macro _copy_pin(model, artifact) %}
  {#
    The pin of an artifact that is on a stage. SQL cannot read a zip, so a temporary function, which
    ends with the session, reads the manifest with Python's own modules: the artifact's runtime
    would need the packages that the manifest names.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set function = tf_embeddings._schema_name() ~ '.tf_embeddings_pin_' ~ model ~ '_'
    ~ artifact.build %}
  {% set sql %}
create or replace temporary function {{ function }}()
returns varchar
language python
runtime_version = '{{ settings.runtime_version }}'
imports = ({{ tf_embeddings._text_literal(artifact.place) }})
artifact_repository = {{ settings.artifact_repository }}
packages = ('{{ tf_embeddings._packages({'packages': []}) | join("', '") }}')
handler = 'pin'
as $$
import hashlib, json, os, sys, zipfile

def pin():
    path = os.path.join(sys._xoptions['snowflake_import_directory'], '{{ artifact.name }}')
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = archive.read('manifest.json')
        found = json.loads(manifest)
        names = ('model', 'version', 'dimensions', 'kind', 'packages')
        pin = {name: found[name] for name in names}
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    build = 'b' + hashlib.sha256(manifest).hexdigest()[:12]
    return json.dumps({**pin, 'build': build, 'bytes': os.path.getsize(path)})
$$
  {% endset %}
  {% do run_query(sql | trim) %}
  {% set said = tf_embeddings._caught(function ~ '()') %}
  {% do run_query('drop function if exists ' ~ function ~ '()') %}
  {% if not said.startswith('{') %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ artifact.place ~ " is not a complete artifact ("
      ~ modules.re.sub('\\s+', ' ', said)[:300] ~ "). Put it there again, uncompressed."
    ) %}
  {% endif %}
  {% set pin = fromjson(said) %}
  {% if [pin.model, pin.build] != [model, artifact.build] %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: " ~ artifact.place ~ " is build " ~ pin.build ~ " of model '" ~ pin.model
      ~ "', not what its name says. Give it the name " ~ pin.model ~ "-" ~ pin.build ~ ".zip."
    ) %}
  {% endif %}
  {{ return(tf_embeddings._checked_pin(model, pin, 'stage_copy')) }}
{% endmacro %}

{% macro _print_pin(pin) %}
  {# Prints a pin as scripts/stage_model.py does. #}
  {% do print('vars:\n  tf_embeddings_models:\n    ' ~ pin.model ~ ':') %}
  {% for part in ['version', 'build', 'dimensions', 'kind'] %}
    {% do print('      ' ~ part ~ ': ' ~ pin[part]) %}
  {% endfor %}
  {% do print('      packages: [' ~ pin.packages | join(', ') ~ ']') %}
  {% do print('      bytes: ' ~ pin['bytes']) %}
{% endmacro %}
