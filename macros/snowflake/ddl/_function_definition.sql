{% macro _function_definition(pin, kind) %}
  {#
    All of a function's DDL but its name, in the order of clauses that Snowflake asks for. `embed`
    answers texts, with `tokens_only` without running the model; `verify` recomputes the artifact's
    golden vectors, with no arguments.
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
from tf_embeddings_udf.snowflake import verify_artifact

def verify():
    return verify_artifact({{ artifact }})
{%- endif %}
$$
  {%- endset -%}
  {{ return(sql | trim) }}
{% endmacro %}
