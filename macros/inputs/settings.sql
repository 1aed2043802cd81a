{% macro _settings() %}
  {#
    Every var of the package, checked, with its default; _scoped_vars tells whether one is set. They
    are flat because a user's nodes do not see the default vars of a package. What each of them is
    stands at the end of this file.
  #}
  {% set identifier = 'a name of 1 to 255 characters without backslashes, $$ and line breaks' %}
  {# Name: default, shape (the name of one, or a list of the values that are allowed), allowed. #}
  {% set known = {
    'models': [{}, 'mapping', 'a map of model names to pins'],
    'default_model': [none, 'string', 'a name'],
    'sources': [none, 'sources', 'a list of maps, such as {ref: tickets, column: body}'],
    'keep_text': [false, 'boolean', 'true or false'],
    'max_new_texts': [none, 'count', 'a whole number from 1'],
    'portion': [none, 'portion', 'a whole number, 0 for all new texts in one statement'],
    'shared_store': [none, 'relation', 'schema.name or database.schema.name'],
    'full_refresh': [false, 'boolean', 'true or false'],
    'database': [target.database, 'identifier', identifier],
    'schema': ['tf_embeddings', 'identifier', identifier],
    'stage': ['models', 'identifier', identifier],
    'stage_encryption': [
      'SNOWFLAKE_SSE', ['SNOWFLAKE_SSE', 'SNOWFLAKE_FULL'], 'SNOWFLAKE_SSE or SNOWFLAKE_FULL'
    ],
    'runtime_version': [
      '3.11', ['3.11', '3.12', '3.13', 3.11, 3.12, 3.13], '3.11, 3.12 or 3.13'
    ],
    'artifact_repository': [
      'snowflake.snowpark.pypi_shared_repository', 'repository',
      'snowflake.snowpark.pypi_shared_repository, snowflake.snowpark.anaconda_shared_repository '
      ~ 'or the name of a different one, as database.schema.name'
    ],
    'max_batch_size': [512, 'rows', 'a whole number from 1 to 4096'],
    'grants': [[], 'identifiers', 'a list of roles, such as [analyst, reporter]'],
    'manage': [
      true, 'targets', 'true or false, or the list of the targets that do, such as [admin]'
    ],
  } %}

  {# One macro call for all: nodes and hooks read the settings dozens of times. #}
  {% set settings = tf_embeddings._scoped_vars(known) %}
  {% for name, setting in known.items() %}
    {% set value = settings[name] %}
    {% if value is none or not tf_embeddings._is_allowed(name, value, setting[1], setting[2]) %}
      {% do settings.update({name: setting[0]}) %}
    {% endif %}
  {% endfor %}

  {% set encoders, rerankers = [], [] %}
  {% for name, pin in settings.models.items() %}
    {% set is_reranker = pin is mapping and pin.kind == 'pairs' %}
    {% do rerankers.append(name) if is_reranker else encoders.append(name) %}
  {% endfor %}
  {% set candidates = encoders or rerankers %}
  {% set only_model = candidates[0] if candidates | length == 1 else none %}
  {# dbt does not render Jinja in vars, so a setting that differs by target is a list of targets. #}
  {% set managers = [] if settings.manage is boolean else settings.manage %}
  {% do settings.update({
    'rerankers': rerankers,
    'default_model': only_model if settings.default_model is none else settings.default_model,
    'runtime_version': settings.runtime_version | string,
    'manage': target.name in managers if managers else settings.manage,
    'managers': managers,
  }) %}
  {{ return(settings) }}
{% endmacro %}

{% macro _is_allowed(name, value, shape, allowed) %}
  {# Whether a setting has its shape; if not, that is an error, except at parse time. #}
  {% set plain_name = '[A-Za-z_][A-Za-z0-9_$]*' %}
  {% set fits = false %}
  {% if shape is not string %}
    {% set fits = value is not boolean and value in shape %}
  {% elif shape == 'mapping' %}
    {% set fits = value is mapping %}
  {% elif shape == 'sources' %}
    {% set fits = value is mapping or (value is sequence and value is not string) %}
  {% elif shape == 'count' %}
    {% set fits = value is integer and value is not boolean and value >= 1 %}
  {% elif shape == 'portion' %}
    {% set fits = value is integer and value is not boolean and value >= 0 %}
  {% elif shape == 'boolean' %}
    {% set fits = value is boolean %}
  {% elif shape == 'targets' %}
    {% set fits = value is boolean or (value and tf_embeddings._is_list_of_strings(value)) %}
  {% elif shape == 'rows' %}
    {% set fits = value is integer and value is not boolean and value in range(1, 4097) %}
  {% elif shape == 'identifiers' %}
    {% set is_list = tf_embeddings._is_list_of_strings(value) %}
    {% set wrong = [] %}
    {% for one in (value if is_list else []) if not tf_embeddings._is_identifier(one) %}
      {% do wrong.append(one) %}
    {% endfor %}
    {% set fits = is_list and not wrong %}
  {% elif value is string and value | trim %}
    {% if shape == 'identifier' %}
      {% set fits = tf_embeddings._is_identifier(value) %}
    {% elif shape == 'relation' %}
      {% set fits = value.split('.') | length in [2, 3] %}
    {% elif shape == 'repository' %}
      {% set fits = modules.re.fullmatch(plain_name ~ ('[.]' ~ plain_name) * 2, value) %}
    {% else %}
      {% set fits = true %}
    {% endif %}
  {% endif %}
  {% if execute and not fits %}
    {% do exceptions.raise_compiler_error(
      "tf_embeddings: var tf_embeddings_" ~ name ~ " is " ~ tf_embeddings._quoted(value)
      ~ "; it must be " ~ allowed ~ ". Change it under vars in dbt_project.yml, or in --vars."
    ) %}
  {% endif %}
  {{ return(fits) }}
{% endmacro %}

{% macro _scoped_vars(names) %}
  {#
    Vars of the package, by their names without its prefix; none where one is not set. Each has one
    value for the whole project, whichever package asks. dbt shows what is set below
    `vars: my_project:` only to the nodes of my_project, so a model and the hook could read two
    values. But every node sees the scope itself, as a var named my_project, and this macro looks
    there. --vars and the overrides of a unit test come first.
  #}
  {% set overrides = (model.get('overrides') if model is mapping else none) or {} %}
  {% set first = [invocation_args_dict.vars or {}, overrides.vars or {}] %}
  {% set package = model.package_name if model is mapping else project_name %}
  {% set scopes = {} %}
  {% for scope in [package, project_name, 'tf_embeddings'] %}
    {% set scoped = var(scope, none) %}
    {% if scoped is mapping %}
      {% do scopes.update({scope: scoped}) %}
    {% endif %}
  {% endfor %}

  {% set values = {} %}
  {% for short in names %}
    {% set name = 'tf_embeddings_' ~ short %}
    {% set found = {} %}
    {% if name not in first[0] and name not in first[1] %}
      {% for scope, scoped in scopes.items() if name in scoped %}
        {% set said = scoped[name] %}
        {% do found.update({scope: render(said) if said is string else said}) %}
      {% endfor %}
    {% endif %}
    {% set value = (found.values() | list)[0] if found else var(name, none) %}
    {% if execute %}
      {% set seen_by_all = [project_name, 'tf_embeddings'] %}
      {% for scope in found if scope not in seen_by_all or found[scope] != value %}
        {% do exceptions.raise_compiler_error(
          "tf_embeddings: var " ~ name ~ " is set below vars: " ~ found | join(': and below vars: ')
          ~ ": in dbt_project.yml, so packages would see different values. Set it once, "
          ~ "below vars: or below vars: " ~ project_name ~ ":."
        ) %}
      {% endfor %}
    {% endif %}
    {% do values.update({short: value}) %}
  {% endfor %}
  {{ return(values) }}
{% endmacro %}

{% macro _is_identifier(name) %}
  {#
    Whether a text can name an object of a warehouse: 1 to 255 characters, not counting quotes.
    Backslashes and $$ are refused because dbt-snowflake splits a hook at `;` with a parser that
    reads a backslash before a quote as an escape, and $$ outside quotes as a delimiter.
  #}
  {% if name is not string or not name | trim or modules.re.search('[\\\\\\r\\n]|[$][$]', name) %}
    {{ return(false) }}
  {% endif %}
  {% set is_quoted = modules.re.fullmatch('"([^"]|"")*"', name) %}
  {% set characters = name[1:-1].replace('""', '"') if is_quoted else name %}
  {{ return(characters | length in range(1, 256)) }}
{% endmacro %}

{% macro _is_list_of_strings(value) %}
  {% if value is not sequence or value is string or value is mapping %}
    {{ return(false) }}
  {% endif %}
  {{ return(value | select('string') | list | length == value | length) }}
{% endmacro %}

{% macro _is_v2() %}
  {# Whether dbt v2 runs, not dbt Core 1.x. #}
  {{ return(dbt_version.split('.') | first | int >= 2) }}
{% endmacro %}

{#
  What each setting is, as YAML, for docs/reference/settings.md: `make docs` writes that page.

  models: >
    The pins: a map of model names to version, build, dimensions, kind, packages and bytes.
    `stage_model.py --write` writes them.
  default_model: >
    The model of a macro that is called without `model=`. By default the only model that gives
    vectors, if there is one; for `rerank`, the only one of kind pairs.
  sources: >
    The texts of the package's model `embedding_store`, which is off without them: a map, or a list
    of maps, of `ref` or `source`, `column` or `columns`, and optionally `where`.
  keep_text: >
    Whether `embedding_store` keeps the texts beside their hashes, for `compare_versions` to show.
    It applies to texts that are embedded from then on.
  max_new_texts: >
    The most texts that one run of a store embeds, in the order of their hash. By default there is
    no limit.
  portion: >
    How many texts a store embeds and commits in one statement; 0 for all. By default portions begin
    small and grow until one takes ten seconds, or a minute on Snowflake.
  shared_store: >
    A store to copy vectors from before the model is called, such as production's in development and
    CI.
  full_refresh: >
    Whether `--full-refresh` rebuilds stores too. That drops the rows of all versions.
  database: >
    The database of the schema that `tf_embeddings_schema` names. By default the target's. Snowflake
    does not replicate a database that has such a function: if you replicate databases, name a
    separate one before you stage the first model.
  schema: >
    The schema of the stage and the functions, the same for all developers.
  stage: >
    The stage, in that schema.
  stage_encryption: >
    The encryption of the stage. It cannot change after the stage is created.
  runtime_version: >
    The functions' Python.
  artifact_repository: >
    Where the functions' packages come from: PyPI's shared repository, Anaconda's channel, or a
    repository of your own. Anaconda's channel is not known to have LiteRT, so models stay on
    TensorFlow there.
  max_batch_size: >
    The most rows in one call of a function, which may take 180 seconds. Lower it for a large model.
  grants: >
    Roles that may use the stage and the functions. They get USAGE on the schema and the functions
    and READ on the stage; USAGE on the database and the database role of the package repository
    are for you to grant.
  manage: >
    Whether the hook creates schema, stage and functions: false if a different role does, or the
    list of the targets that do.
#}
