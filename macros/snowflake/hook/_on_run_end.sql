{% macro snowflake___on_run_end(results) %}
  {#
    What Snowflake answers where a staged file or a function is missing names the build and not the
    next step, and a hook can look for neither beforehand. Where the flag
    skip_nodes_if_on_run_start_fails let a failing hook stop the run, dbt gives no results at all,
    nor what the hook said; ephemeral models never have any.
  #}
  {% set expected = [] %}
  {% for id in selected_resources %}
    {% if id not in graph.nodes or graph.nodes[id].config.materialized != 'ephemeral' %}
      {% do expected.append(id) %}
    {% endif %}
  {% endfor %}
  {% for pin in tf_embeddings._pins_of_run() %}
    {% set blamed = [] %}
    {% for result in results if result.status == 'error' and result.message %}
      {% do blamed.append(result) if pin.build in result.message | lower %}
    {% endfor %}
    {% if blamed or (expected and not results) %}
      {% do exceptions.warn(
        "tf_embeddings: the run failed, and it needs the artefact of model '" ~ pin.model ~ "': "
        ~ tf_embeddings._stage_location(tf_embeddings._artefact_path(pin)) ~ ". If it is not "
        ~ "there, stage it with: " ~ tf_embeddings._stage_command(pin.model)
        ~ ". If it is, the function may be another role's: one role owns schema "
        ~ tf_embeddings._schema_name() ~ " and has create schema on the database; all the others "
        ~ "set var tf_embeddings_manage to false and are named in the owner's var "
        ~ "tf_embeddings_grants."
      ) %}
    {% endif %}
  {% endfor %}
{% endmacro %}
