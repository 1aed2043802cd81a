{% macro _create_stage() %}
  {#
    The statements that create the schema and the stage of the artifacts, if they are missing.
    https://docs.snowflake.com/en/sql-reference/sql/create-stage
  #}
  {{ return([
    'create schema if not exists ' ~ tf_embeddings._schema_name()
    ~ " comment = 'tf_embeddings: embedding models and their functions'",
    'create stage if not exists ' ~ tf_embeddings._stage_name()
    ~ " encryption = (type = '" ~ tf_embeddings._settings().stage_encryption ~ "')"
    ~ " comment = 'tf_embeddings: artifacts of embedding models'",
  ]) }}
{% endmacro %}

{% macro _create_function(pin, kind='embed') %}
  {# The statement that creates a pin's function, if it is missing; see _function_definition. #}
  {{ return(
    'create function if not exists ' ~ tf_embeddings.snowflake___function_name(pin, kind)
    ~ tf_embeddings._function_definition(pin, kind)
  ) }}
{% endmacro %}

{% macro _function_definition(pin, kind) %}
  {#
    A function's DDL after its name, with the clauses in the order that Snowflake requires. Kind
    `embed` answers texts, and with tokens_only does not run the model; kind `verify` takes no
    arguments and recomputes the artifact's golden vectors.
    https://docs.snowflake.com/en/sql-reference/sql/create-function
  #}
  {% set settings = tf_embeddings._settings() %}
  {% do tf_embeddings._require_packages(pin.packages, "tf_embeddings: model '" ~ pin.model ~ "'") %}
  {% set packages = "'" ~ tf_embeddings._packages(pin) | join("', '") ~ "'" %}
  {% set artifact = [
    "model='" ~ pin.model, "version='" ~ pin.version, "build='" ~ pin.build
  ] | join("', ") ~ "'" %}
  {% set purpose = 'check of ' if kind == 'verify' else '' %}
  {% set comment = 'tf_embeddings: ' ~ purpose ~ 'model ' ~ pin.model ~ ', version ' ~ pin.version
    ~ ', build ' ~ pin.build %}

  {%- set sql -%}
({{ 'text varchar, tokens_only boolean' if kind == 'embed' }})
returns object
language python
{%- if kind == 'embed' %}
strict
immutable
{%- endif %}
runtime_version = '{{ settings.runtime_version }}'
comment = '{{ comment }}'
imports = ({{ tf_embeddings._stage_location(tf_embeddings._artifact_path(pin)) }})
artifact_repository = {{ settings.artifact_repository }}
packages = ({{ packages }})
handler = '{{ kind }}'
as $$
{%- if kind == 'embed' %}
import pandas
from tf_embeddings_udf.snowflake import embed_texts

def embed(frame):
    frame.attrs['dimensions'] = {{ pin.dimensions }}
    return embed_texts(frame, {{ artifact }})

embed._sf_vectorized_input = pandas.DataFrame
embed._sf_max_batch_size = {{ settings.max_batch_size }}
{%- else %}
from tf_embeddings_udf.snowflake import verify_artefact

def verify():
    return verify_artefact({{ artifact }})
{%- endif %}
$$
  {%- endset -%}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _grants(pins, kinds=['embed']) %}
  {#
    The statements that let the roles of var tf_embeddings_grants call these kinds of functions of
    the pins; see _function_definition.
    https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
  #}
  {% set objects = [
    'usage on schema ' ~ tf_embeddings._schema_name(),
    'read on stage ' ~ tf_embeddings._stage_name(),
  ] %}
  {% for pin in pins %}
    {% for kind in kinds %}
      {% do objects.append(
        'usage on function ' ~ tf_embeddings.snowflake___function_name(pin, kind)
        ~ ('()' if kind == 'verify' else '(varchar, boolean)')
      ) %}
    {% endfor %}
  {% endfor %}

  {% set grants = [] %}
  {% for role in tf_embeddings._settings().grants | map('trim') | unique %}
    {% for object in objects %}
      {% do grants.append('grant ' ~ object ~ ' to role ' ~ tf_embeddings._identifier(role)) %}
    {% endfor %}
  {% endfor %}
  {{ return(grants) }}
{% endmacro %}

{% macro _packages(pin) %}
  {#
    The PACKAGES of a function: the pin's packages and pandas, with versions, sorted. No page says
    whether PyPI's repository adds dependencies, nor in which version, so LiteRT's own dependencies
    are named too, and the list resolves either way.
  #}
  {% set versions = tf_embeddings._package_versions(
    tf_embeddings._settings().artifact_repository
  ) %}
  {% set asked = {} %}
  {% for package in pin.packages %}
    {% do asked.update({tf_embeddings._package_name(package): package}) %}
  {% endfor %}
  {% set needed = ['pandas'] %}
  {% if 'ai-edge-litert' in asked %}
    {% do needed.extend([
      'backports-strenum', 'flatbuffers', 'ml-dtypes', 'numpy', 'protobuf', 'tqdm',
      'typing-extensions',
    ]) %}
  {% endif %}
  {% for name in needed if name not in asked %}
    {% do asked.update({name: name}) %}
  {% endfor %}

  {% set packages = [] %}
  {% for name, package in asked | dictsort %}
    {% set is_known = '==' not in package and name in versions %}
    {% do packages.append(package ~ '==' ~ versions[name] if is_known else package) %}
  {% endfor %}
  {{ return(packages) }}
{% endmacro %}

{% macro _package_versions(repository) %}
  {#
    The versions of packages whose pin names no version. Otherwise Snowflake takes the newest when
    it creates the function, and two functions of one build run different code. PyPI's are those of
    requirements-dev.lock, Anaconda's those of requirements-anaconda.lock, which the tests run.
    NumPy 2.4 is the newest for all of Python 3.11 to 3.13.
  #}
  {% if repository | lower == 'snowflake.snowpark.anaconda_shared_repository' %}
    {{ return({
      'numpy': '1.26.4',
      'pandas': '2.1.4',
      'sentencepiece': '0.1.99',
      'tensorflow': '2.17.0',
      'tokenizers': '0.19.1',
    }) }}
  {% endif %}
  {{ return({
    'ai-edge-litert': '2.3.0',
    'backports-strenum': '1.2.8',
    'flatbuffers': '25.12.19',
    'ml-dtypes': '0.6.0',
    'numpy': '2.4.6',
    'pandas': '3.1.1',
    'protobuf': '6.33.6',
    'sentencepiece': '0.2.3',
    'tensorflow': '2.21.0',
    'tensorflow-text': '2.21.1',
    'tokenizers': '0.23.3',
    'tqdm': '4.70.1',
    'typing-extensions': '4.16.0',
  }) }}
{% endmacro %}

{% macro _package_name(package) %}
  {#
    The normalized name of a package of a pin, without its version.
    https://packaging.python.org/en/latest/specifications/name-normalization/
  #}
  {{ return(modules.re.sub('[-_.]+', '-', package.split('==') | first) | lower) }}
{% endmacro %}

{% macro _require_packages(packages, what) %}
  {#
    Refuses packages that Anaconda's channel lacks: TensorFlow Text is not there, and LiteRT is not
    known to be. What the account's own repository has is not known.
  #}
  {% set repository = tf_embeddings._settings().artifact_repository | lower %}
  {% if repository != 'snowflake.snowpark.anaconda_shared_repository' %}
    {{ return('') }}
  {% endif %}
  {% set next_step = "Set var tf_embeddings_artifact_repository to "
    ~ "snowflake.snowpark.pypi_shared_repository" %}
  {% for package in packages %}
    {% set name = tf_embeddings._package_name(package) %}
    {% if name == 'tensorflow-text' %}
      {% do exceptions.raise_compiler_error(
        what ~ " needs the Python package " ~ name ~ ", which " ~ repository ~ " does not have. "
        ~ next_step ~ "."
      ) %}
    {% elif name == 'ai-edge-litert' %}
      {% do exceptions.raise_compiler_error(
        what ~ " needs the Python package " ~ name ~ ", which " ~ repository ~ " is not known to "
        ~ "have. " ~ next_step ~ ", or stage the model again with --engine tensorflow."
      ) %}
    {% endif %}
  {% endfor %}
{% endmacro %}

{% macro _repository_role() %}
  {#
    The database role that creating and calling a function with the repository's packages requires;
    none for the account's own repository.
    https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
  #}
  {{ return({
    'snowflake.snowpark.anaconda_shared_repository': 'SNOWFLAKE.ANACONDA_REPOSITORY_USER',
    'snowflake.snowpark.pypi_shared_repository': 'SNOWFLAKE.PYPI_REPOSITORY_USER',
  }.get(tf_embeddings._settings().artifact_repository | lower)) }}
{% endmacro %}

{% macro _has_repository_role() %}
  {#
    A SQL expression, 'TRUE' or 'FALSE': whether this session's role has the database role of the
    repository. 'TRUE' for the account's own repository, which has no known role. No page says
    whether roles granted to PUBLIC count.
    https://docs.snowflake.com/en/sql-reference/functions/is_database_role_activated
  #}
  {% set role = tf_embeddings._repository_role() %}
  {{ return(
    "sys_context('SNOWFLAKE$SESSION', 'IS_DATABASE_ROLE_ACTIVATED', '" ~ role ~ "')" if role
    else "'TRUE'"
  ) }}
{% endmacro %}
