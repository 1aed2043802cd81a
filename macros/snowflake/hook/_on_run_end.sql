{% macro snowflake___on_run_end(results) %}
  {#
    Says what to do where what Snowflake answered shows that a model is why the run failed, and is
    silent else. Where the flag skip_nodes_if_on_run_start_fails let a failing hook stop the run,
    dbt gives no results, nor what the hook said: Snowflake's own words stand in the log then.
  #}
  {% set of_hook = [] %}
  {% set of_nodes = [] %}
  {% set failed = [] %}
  {% for result in results if result.status == 'error' and result.message %}
    {% do failed.append(result) %}
  {% endfor %}
  {% set pins = tf_embeddings._pins_of_run() if failed else [] %}
  {% for result in failed %}
    {% set id = result.node.unique_id %}
    {% set is_of_hook = id.startswith('operation.tf_embeddings.') %}
    {% for pin in pins %}
      {% set is_ours = is_of_hook or pin.build in result.message | lower
        or tf_embeddings._models_of_node(graph.nodes.get(id, {})) %}
      {% set cause = tf_embeddings._cause(result.message, pin, is_of_hook) if is_ours else none %}
      {% if cause %}
        {% do (of_hook if is_of_hook else of_nodes).append(
          "tf_embeddings: model '" ~ pin.model ~ "' cannot run: " ~ cause
        ) %}
      {% endif %}
    {% endfor %}
  {% endfor %}
  {# What follows from a hook that failed needs no words of its own. #}
  {% for warning in (of_hook or of_nodes) | unique %}
    {% do exceptions.warn(warning) %}
  {% endfor %}
{% endmacro %}
