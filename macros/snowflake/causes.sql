{% macro _cause(message, pin, is_of_hook=false) %}
  {#
    Why a model cannot run, and the next step, from an error of Snowflake; none if that is not
    certain. The runtime's own errors (`tf_embeddings: …`) include the next step.
    docs/guides/troubleshooting.md has the same as a table.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set said = message | string | lower %}
  {% set calls = 'tf_embeddings_' ~ pin.model ~ '_' ~ pin.build in said
    or 'tf_embeddings_verify_' ~ pin.model ~ '_' ~ pin.build in said %}
  {% set is_denied = 'not authorized' in said or 'insufficient privileges' in said %}
  {% set stage_it = tf_embeddings._stage_command(pin.model) %}
  {% set schema = tf_embeddings._stored_name(settings.database) ~ '.'
    ~ tf_embeddings._stored_name(settings.schema) %}
  {% set is_of_schema = schema | lower in said | replace('"', '') %}

  {% if tf_embeddings._is_of_repository(message) %}
    {{ return(
      "the role of target '" ~ target.name ~ "' may not use " ~ settings.artifact_repository
      ~ ", where the function's Python packages come from. Let "
      ~ tf_embeddings._repository_grant(target.role or "…")
    ) }}
  {% elif (calls or is_of_hook) and modules.re.search('packages? policy', said) %}
    {{ return(
      "the account's packages policy forbids one of its Python packages. Let the policy's owner "
      ~ "allow " ~ tf_embeddings._packages(pin) | join(', ') ~ ", all that they need, and python; "
      ~ "this shows it: " ~ tf_embeddings._select_policy()
    ) }}
  {% elif pin.model ~ '-' ~ pin.build ~ '.zip' in said and 'not found' in said %}
    {{ return(
      "its staged file is missing: "
      ~ tf_embeddings._stage_location(tf_embeddings._artifact_path(pin)) ~ ". Stage it with: "
      ~ stage_it
    ) }}
  {% elif is_of_hook and is_denied and "role '" in said %}
    {{ return(
      "a role in var tf_embeddings_grants (" ~ settings.grants | join(', ') ~ ") does not exist. "
      ~ "Correct the var."
    ) }}
  {% elif is_of_hook and is_denied and "database '" in said and 'not exist' in said %}
    {{ return(
      "the role of target '" ~ target.name ~ "' sees no database " ~ settings.database ~ ". Let "
      ~ "its owner grant usage on it, or name a different one in var tf_embeddings_database."
    ) }}
  {% elif is_of_hook and is_denied %}
    {{ return(
      "the role of target '" ~ target.name ~ "' may not create what is missing. One role must own "
      ~ "schema " ~ tf_embeddings._schema_name() ~ " and have create schema on the database; all "
      ~ "others set var tf_embeddings_manage to false, or to the owner's target, and are named in "
      ~ "the owner's var tf_embeddings_grants."
    ) }}
  {% elif calls and ('unknown' in said or is_denied) or (is_of_schema and is_denied) %}
    {{ return(
      "its function does not exist, or the role of target '" ~ target.name ~ "' may not use it. "
      ~ "With that role in var tf_embeddings_grants, let the owner of schema "
      ~ tf_embeddings._schema_name() ~ " run: " ~ stage_it ~ " --verify"
    ) }}
  {% elif calls and "no module named 'tf_embeddings_udf" in said %}
    {{ return("its staged file is damaged. Replace it, for all its functions, with: " ~ stage_it) }}
  {% elif calls and 'memory exhausted' in said %}
    {{ return(
      "its process takes more memory than a node has. Use a Snowpark-optimized warehouse."
    ) }}
  {% elif calls and 'timed out' in said %}
    {{ return(
      "a batch takes longer than Snowflake allows. Lower var tf_embeddings_max_batch_size, which "
      ~ "is " ~ settings.max_batch_size ~ "."
    ) }}
  {% elif is_of_hook and (
    'with the specified packages' in said
    or modules.re.search("package '.*' is not supported", said)
  ) %}
    {{ return(tf_embeddings._unresolved(tf_embeddings._packages(pin))) }}
  {% endif %}
  {{ return(none) }}
{% endmacro %}

{% macro _is_of_repository(message) %}
  {# Whether an error of Snowflake is that the role may not use the repository of the packages. #}
  {% set said = message | string | lower | replace('"', '') %}
  {{ return(
    tf_embeddings._settings().artifact_repository | lower in said
    and ('not authorized' in said or 'insufficient privileges' in said)
  ) }}
{% endmacro %}

{% macro _repository_grant(role) %}
  {#
    Who lets a role use the repository of the packages, and how, to follow "let". Creating a
    function and calling it require it.
    docs.snowflake.com/en/developer-guide/udf/python/customer-hosted-python-artifact-repositories
  #}
  {% set user = tf_embeddings._repository_role() %}
  {% if user %}
    {{ return("ACCOUNTADMIN run: grant database role " ~ user ~ " to role " ~ role) }}
  {% endif %}
  {{ return(
    "its owner grant usage on its database and schema, and run: grant usage on artifact repository "
    ~ tf_embeddings._settings().artifact_repository ~ " to role " ~ role
  ) }}
{% endmacro %}

{% macro _unresolved(packages) %}
  {# What to do where a repository does not resolve the packages of a function. #}
  {% set settings = tf_embeddings._settings() %}
  {{ return(
    settings.artifact_repository ~ " does not resolve the packages " ~ packages | join(', ')
    ~ " for Python " ~ settings.runtime_version ~ ". Pin other versions under packages in "
    ~ "its pin, or set var tf_embeddings_runtime_version or "
    ~ "tf_embeddings_artifact_repository."
    ~ (" If the account has a packages policy (" ~ tf_embeddings._select_policy() ~ "), it must "
      ~ "allow them, all that they need, and python." if tf_embeddings._repository_role() else "")
  ) }}
{% endmacro %}

{% macro _select_policy() %}
  {#
    The query that shows the account's packages policy to every role. No page has the errors that
    come from one, and the account's own repository has none.
    https://docs.snowflake.com/en/developer-guide/udf/python/packages-policy
  #}
  {{ return(
    'select * from ' ~ tf_embeddings._identifier(tf_embeddings._settings().database)
    ~ '.information_schema.current_packages_policy'
  ) }}
{% endmacro %}

{% macro _caught(expression) %}
  {#
    The value of a SQL expression, as text, or Snowflake's error: a macro cannot catch errors, but a
    block of Snowflake Scripting can.
    https://docs.snowflake.com/en/developer-guide/snowflake-scripting/exceptions
  #}
  {% set sql %}
execute immediate $$
declare
  said varchar;
begin
  select {{ expression }} into :said;
  return said;
exception
  when other then
    return sqlerrm;
end;
$$
  {% endset %}
  {{ return(run_query(sql | trim).rows[0][0] | string) }}
{% endmacro %}

{% macro _failure(statement) %}
  {#
    Runs a statement; returns none, or Snowflake's error as one sentence. No page says that a block
    takes every statement: one that it does not take runs on its own, and fails by itself.
    https://docs.snowflake.com/en/sql-reference/sql/execute-immediate
  #}
  {% set sql %}
execute immediate $$
begin
  execute immediate {{ tf_embeddings._text_literal(statement) }};
  return 'done';
exception
  when other then
    return sqlerrm;
end;
$$
  {% endset %}
  {% set said = run_query(sql | trim).rows[0][0] | string %}
  {% if said == 'done' %}
    {{ return(none) }}
  {% elif 'unsupported statement' in said | lower %}
    {% do run_query(statement) %}
    {{ return(none) }}
  {% endif %}
  {{ return(modules.re.sub('\\s+', ' ', said).strip().rstrip('.') ~ '.') }}
{% endmacro %}
