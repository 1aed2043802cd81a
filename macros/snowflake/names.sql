{% macro _identifier(name) %}
  {#
    A name as SQL. A plain name and one in double quotes stay as they are, so Snowflake folds the
    plain one to upper case, as it does dbt's own names; any other name gets double quotes. Reserved
    words are not known here: Snowflake refuses order and accepts "ORDER".
    https://docs.snowflake.com/en/sql-reference/identifiers-syntax
  #}
  {% if not tf_embeddings._is_identifier(name) %}
    {% do exceptions.raise_compiler_error(
      "tf_embeddings: " ~ name | pprint ~ " is not a valid name on Snowflake; it must have 1 to "
      ~ "255 characters and no backslashes, $$ or line breaks. Correct it in the target in "
      ~ "profiles.yml, or in vars in dbt_project.yml."
    ) %}
  {% endif %}
  {% if modules.re.fullmatch('[A-Za-z_][A-Za-z0-9_$]*|"([^"]|"")*"', name) %}
    {{ return(name) }}
  {% endif %}
  {{ return('"' ~ name.replace('"', '""') ~ '"') }}
{% endmacro %}

{% macro _stored_name(name) %}
  {#
    A name as Snowflake stores and shows it.
    https://docs.snowflake.com/en/sql-reference/identifiers-syntax
  #}
  {% set identifier = tf_embeddings._identifier(name) %}
  {% if identifier.startswith('"') %}
    {{ return(identifier[1:-1].replace('""', '"')) }}
  {% endif %}
  {{ return(identifier | upper) }}
{% endmacro %}

{% macro _schema_name() %}
  {# The schema of the stage and the functions, with its database, as SQL. #}
  {% set settings = tf_embeddings._settings() %}
  {{ return(
    tf_embeddings._identifier(settings.database) ~ '.' ~ tf_embeddings._identifier(settings.schema)
  ) }}
{% endmacro %}

{% macro _stage_name() %}
  {# The stage of the artifacts, with its database and schema, as SQL. #}
  {% set stage = tf_embeddings._identifier(tf_embeddings._settings().stage) %}
  {{ return(tf_embeddings._schema_name() ~ '.' ~ stage) }}
{% endmacro %}

{% macro _stage_location(path='') %}
  {#
    A path on the stage as a literal of SQL, with its quotes: for IMPORTS, LIST, PUT and REMOVE.
    https://docs.snowflake.com/en/sql-reference/data-types-text#string-constants
  #}
  {% set location = '@' ~ tf_embeddings._stage_name() ~ '/' ~ path %}
  {% set location = location.replace('\\', '\\\\').replace("'", "\\'") %}
  {{ return("'" ~ location ~ "'") }}
{% endmacro %}

{% macro _artifact_path(pin) %}
  {# Where a pinned artifact is on the stage. #}
  {{ return(
    [pin.model, pin.version, pin.model ~ '-' ~ pin.build ~ '.zip'] | join('/')
  ) }}
{% endmacro %}
