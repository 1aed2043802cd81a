{% macro _staging_check_repository(role, left_out) %}
  {#
    Whether a role may use the repository of the packages, which creating a function needs: returns
    warnings, a list. A no is one of them, because no page says whether what PUBLIC has counts.
  #}
  {% set anaconda = 'snowflake.snowpark.anaconda_shared_repository' %}
  {% set pypi = 'snowflake.snowpark.pypi_shared_repository' %}
  {% set repository = tf_embeddings._settings().artifact_repository | lower %}
  {% set user = tf_embeddings._repository_role() %}

  {% set warnings = [] %}
  {% if user and 'role' not in left_out %}
    {% set rows = tf_embeddings._staging_query(
      'select ' ~ tf_embeddings._has_repository_role() ~ ' as is_activated',
      'Asking for the database role ' ~ user,
      optional='role'
    ) %}
    {% if rows[0].is_activated | string | lower == 'false' %}
      {% do warnings.append(
        "role " ~ role ~ " may be unable to use " ~ repository ~ ", where the function's Python "
        ~ "packages come from. If the function cannot be created, let ACCOUNTADMIN run: grant "
        ~ "database role " ~ user ~ " to role " ~ role ~ "; or set var "
        ~ "tf_embeddings_artifact_repository to another one, such as "
        ~ (anaconda if repository == pypi else pypi) ~ "."
      ) %}
    {% endif %}
  {% endif %}

  {# Only accounts from before the terms were part of the contract know this, and no page does. #}
  {% if repository == anaconda and 'terms' not in left_out %}
    {% set rows = tf_embeddings._staging_query(
      'select system$are_anaconda_terms_acknowledged() as is_acknowledged',
      'Asking for the terms of Anaconda',
      optional='terms'
    ) %}
    {% if rows[0].is_acknowledged | string | lower == 'false' %}
      {% do exceptions.raise_compiler_error(
        "stage_model: this account has not accepted the terms of Anaconda, whose packages the "
        ~ "function would use. Let ORGADMIN accept them in Snowsight (Admin, Terms), or set var "
        ~ "tf_embeddings_artifact_repository to " ~ pypi ~ "."
      ) %}
    {% endif %}
  {% endif %}
  {{ return(warnings) }}
{% endmacro %}
