{% macro snowflake___vector_type(dimensions) %}
  {{ return('vector(float, ' ~ dimensions ~ ')') }}
{% endmacro %}

{% macro snowflake___most_dimensions() %}
  {# https://docs.snowflake.com/en/sql-reference/data-types-vector #}
  {{ return(4096) }}
{% endmacro %}

{% macro snowflake__text_hash(text) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/sha2 #}
  {{ return('sha2(cast(' ~ text ~ ' as varchar), 256)') }}
{% endmacro %}

{% macro snowflake___function_name(pin, kind='embed') %}
  {#
    The name ends with a digest of the whole definition, so different settings make a new function
    beside the one that running queries use, and none is ever replaced. Names count as Snowflake
    stores them: targets that write one database in two ways share one function.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set path = tf_embeddings._artifact_path(pin) %}
  {% set stored = [path] %}
  {% for name in [settings.database, settings.schema, settings.stage] %}
    {% do stored.append(tf_embeddings._stored_name(name).replace('"', '\\"')) %}
  {% endfor %}
  {% set repository = 'artifact_repository = ' ~ settings.artifact_repository %}
  {% set definition = tf_embeddings._function_definition(pin, kind).replace(
    tf_embeddings._stage_location(path), '["' ~ stored | join('", "') ~ '"]'
  ).replace(repository, repository | lower) %}

  {% set digest = local_md5(definition)[:8] %}
  {% set prefix = 'tf_embeddings_verify' if kind == 'verify' else 'tf_embeddings' %}
  {{ return(
    tf_embeddings._schema_name() ~ '.' ~ [prefix, pin.model, pin.build, digest] | join('_')
  ) }}
{% endmacro %}

{% macro snowflake___outcome(text, pin, macro, tokens_only) %}
  {% do tf_embeddings._check_mark(pin, macro) %}
  {{ return(
    tf_embeddings._function_name(pin) ~ '(cast(' ~ text ~ ' as varchar), ' ~ tokens_only | lower
    ~ ')'
  ) }}
{% endmacro %}

{% macro snowflake___outcome_column(outcome, column, pin) %}
  {#
    The conversions turn a JSON null inside the object into a NULL of SQL.
    https://docs.snowflake.com/en/sql-reference/functions/as_array
  #}
  {% set part = 'embedding' if column == 'score' else column %}
  {% set value = 'get(' ~ outcome ~ ", '" ~ part ~ "')" %}
  {{ return({
    'score': 'cast(get(as_array(' ~ value ~ '), 0) as float)',
    'embedding': 'cast(as_array(' ~ value ~ ') as ' ~ tf_embeddings._vector_type(pin.dimensions)
      ~ ')',
    'token_count': 'cast(as_integer(' ~ value ~ ') as integer)',
    'is_truncated': 'as_boolean(' ~ value ~ ')',
    'status': 'as_varchar(' ~ value ~ ')',
  }[column]) }}
{% endmacro %}

{% macro snowflake___status(text, pin, macro) %}
  {# The function is strict: Snowflake does not call it for a NULL, so there is no outcome. #}
  {% set outcome = tf_embeddings._outcome(text, pin, macro) %}
  {{ return(
    'coalesce(' ~ tf_embeddings._outcome_column(outcome, 'status', pin) ~ ", 'null')"
  ) }}
{% endmacro %}
