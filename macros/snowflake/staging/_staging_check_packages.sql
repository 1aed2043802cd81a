{% macro _staging_check_packages(packages, left_out) %}
  {#
    Whether the packages of a function are there, in the versions that it would be created with. The
    view lists Anaconda's; what PyPI has cannot be asked.
    https://docs.snowflake.com/en/sql-reference/info-schema/packages
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set is_anaconda = 'anaconda_shared_repository' in settings.artifact_repository | lower %}
  {% if not is_anaconda or not packages or 'packages' in left_out %}
    {{ return('') }}
  {% endif %}

  {% set asked = tf_embeddings._packages({'packages': packages}) %}
  {% set names = [] %}
  {% for package in asked %}
    {% do names.append(package.split('==') | first | lower) %}
  {% endfor %}
  {% set rows = tf_embeddings._staging_query(
    "select package_name, version, runtime_version from "
    ~ tf_embeddings._identifier(settings.database) ~ ".information_schema.packages"
    ~ " where language = 'python' and package_name in ('" ~ names | join("', '") ~ "')",
    'Asking for the packages of Anaconda',
    optional='packages'
  ) %}
  {% set next_step = " Pin another one under packages in dbt_project.yml, or set var "
    ~ "tf_embeddings_runtime_version, or tf_embeddings_artifact_repository to "
    ~ "snowflake.snowpark.pypi_shared_repository." %}
  {% for package in asked %}
    {% set name, version = (package ~ '==').split('==')[:2] %}
    {% set versions = [] %}
    {% for row in rows if row.package_name == name | lower %}
      {% if row.runtime_version in [none, '', settings.runtime_version] %}
        {% do versions.append(row.version) %}
      {% endif %}
    {% endfor %}
    {% if not versions or version and version not in versions %}
      {% do exceptions.raise_compiler_error(
        "stage_model: " ~ settings.artifact_repository ~ " has no " ~ package ~ " for Python "
        ~ settings.runtime_version ~ " ("
        ~ ("it has: " ~ versions | unique | join(', ') if versions else "no version of it") ~ ")."
        ~ next_step
      ) %}
    {% endif %}
  {% endfor %}
{% endmacro %}
