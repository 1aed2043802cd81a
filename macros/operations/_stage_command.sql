{% macro _stage_command(model) %}
  {# The command that stages a model on this target and writes its pin. #}
  {{ return(
    'python dbt_packages/tf_embeddings/scripts/stage_model.py ' ~ model ~ ' --write --target '
    ~ target.name
  ) }}
{% endmacro %}
