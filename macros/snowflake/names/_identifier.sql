{% macro _identifier(name) %}
  {#
    A name as SQL: a plain one as it is written, so that Snowflake folds it to upper case as it does
    dbt's own names; one that stands in double quotes as it stands; any other one in double quotes.
    Reserved words are not known here: Snowflake refuses order, and takes "ORDER".
    https://docs.snowflake.com/en/sql-reference/identifiers-syntax
  #}
  {% if not tf_embeddings._is_identifier(name) %}
    {% do exceptions.raise_compiler_error(
      "tf_embeddings: " ~ name | pprint ~ " is not a name for Snowflake; it must have 1 to 255 "
      ~ "characters and no backslashes, $$ or line breaks. Names come from the target in "
      ~ "profiles.yml and from vars in dbt_project.yml."
    ) %}
  {% endif %}
  {% if modules.re.fullmatch('[A-Za-z_][A-Za-z0-9_$]*|"([^"]|"")*"', name) %}
    {{ return(name) }}
  {% endif %}
  {{ return('"' ~ name.replace('"', '""') ~ '"') }}
{% endmacro %}
