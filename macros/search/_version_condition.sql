{% macro _version_condition(macro, argument, version, model=none) %}
  {#
    The condition that a row's version is the pinned one, so that vectors of two versions never
    meet: SQL, or none where nothing is to be compared: there is no version, or it is the pinned one
    as a literal, from embedding_version.
  #}
  {% if version is none or not execute %}
    {% do tf_embeddings._mark(model, embeds=false) if version is not none %}
    {{ return(none) }}
  {% endif %}
  {% set version = tf_embeddings._sql_argument(macro, argument, version) %}
  {% set pin = tf_embeddings._pin(model, macro) %}
  {% set pinned = "'" ~ pin.version ~ "'" %}
  {% if version == pinned %}
    {{ return(none) }}
  {% endif %}
  {% if modules.re.fullmatch("'[^']*'", version) %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ version ~ ", but model '" ~ pin.model ~ "' is pinned at "
      ~ pinned ~ "; vectors of two versions do not compare. Pass the model whose version it is, as "
      ~ "model='…', or the column that holds each row's version."
    ) %}
  {% endif %}
  {{ return(version ~ ' = ' ~ pinned) }}
{% endmacro %}
