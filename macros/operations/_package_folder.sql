{% macro _package_folder() %}
  {#
    Where the package is installed, as a map of: folder, as a command names it where dbt was called;
    and project, the project's folder, or none where dbt was called in it, as far as dbt tells.
  #}
  {% set known = adapter.config if adapter.config is defined else {} %}
  {% set root = (known.project_root or '/') | string %}
  {% set folder = (known.packages_install_path or 'dbt_packages') ~ '/tf_embeddings' %}
  {% set is_absolute = '^([/\\\\]|[A-Za-z]:)' %}
  {% set is_given = '--project-dir' in (invocation_args_dict.invocation_command or '')
    or not modules.re.match(is_absolute, root) %}
  {% if is_given and not modules.re.match(is_absolute, folder) %}
    {% set folder = root ~ '/' ~ folder %}
  {% endif %}
  {{ return({'folder': folder, 'project': root if is_given else none}) }}
{% endmacro %}
