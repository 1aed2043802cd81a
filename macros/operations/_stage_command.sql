{% macro _stage_command(model) %}
  {#
    The command that stages a model on this target and writes its pin, where dbt was called; on
    Snowflake on a target of the role that owns the functions, with the grants that came by the
    command line. Those of the project are known to every command.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set name, vars = target.name, '' %}
  {% if target.type == 'snowflake' %}
    {% set name = name if settings.manage else (settings.managers + [name]) | first %}
    {% set given = invocation_args_dict.get('vars') or {} %}
    {% set given = fromyaml(given) if given is string else given %}
    {% if settings.grants and given is mapping and 'tf_embeddings_grants' in given %}
      {% set vars = " --vars '{tf_embeddings_grants: [" ~ settings.grants | join(', ') ~ "]}'" %}
    {% endif %}
  {% endif %}
  {% set place = tf_embeddings._package_folder() %}
  {% set script = place.folder ~ '/scripts/stage_model.py' %}
  {% set script = '"' ~ script ~ '"' if ' ' in script else script %}
  {% set project = ' --project-dir "' ~ place.project ~ '"' if place.project else '' %}
  {{ return('python ' ~ script ~ ' ' ~ model ~ ' --write --target ' ~ name ~ project ~ vars) }}
{% endmacro %}
