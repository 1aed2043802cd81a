{% macro snowflake___prepare_run(pins) %}
  {#
    Creates what is missing and replaces nothing. dbt-snowflake sends the statements one by one: it
    splits them at `;` outside quotes and $$.
  #}
  {% if not tf_embeddings._settings().manage %}
    {{ return('') }}
  {% endif %}
  {% set statements = tf_embeddings._create_stage() %}
  {% for pin in pins %}
    {% do statements.append(tf_embeddings._create_function(pin)) %}
  {% endfor %}
  {{ return((statements + tf_embeddings._grants(pins)) | join(';\n\n')) }}
{% endmacro %}

{% macro snowflake___explain_failures(results) %}
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

{% macro _check_mark(pin, macro) %}
  {#
    The hook creates the functions that the run's nodes are marked with, and a node's mark is made
    at parse time. A macro of the user's that calls one of ours only where is_incremental() or
    execute is true leaves none: its function would be missing one day, or is here only because of
    another node. So the first compilation says it, whatever functions there are. Nodes without
    properties of their own (dbt show, operations) cannot be marked; a unit test's model is.
  #}
  {% if model is not mapping or not tf_embeddings._settings().manage %}
    {{ return('') }}
  {% endif %}
  {% if model.resource_type not in ['model', 'test', 'snapshot', 'seed'] %}
    {{ return('') }}
  {% endif %}

  {% for name in tf_embeddings._models_of_node(model) %}
    {% if pin.model == (tf_embeddings._settings().default_model if name == 'DEFAULT' else name) %}
      {{ return('') }}
    {% endif %}
  {% endfor %}
  {% do exceptions.raise_compiler_error(
    macro ~ ": " ~ model.unique_id ~ " uses model '" ~ pin.model ~ "' through a macro that calls "
    ~ macro ~ " only where is_incremental() or execute is true, so the hook cannot see that it "
    ~ "needs the function. Add this line to " ~ model.original_file_path
    ~ ": {{ config(meta={'tf_embeddings_" ~ pin.model ~ "': true}) }}"
  ) %}
{% endmacro %}
