{% macro snowflake___prepare_run(pins) %}
  {#
    Creates what is missing and replaces nothing. dbt-snowflake splits this at `;`, outside quotes
    and $$, and sends the statements one by one.
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
    Warns of what to do if Snowflake's answer shows that the run failed because of a model. If a
    failing hook stopped the run (flag skip_nodes_if_on_run_start_fails), dbt passes neither results
    nor the hook's error, and only Snowflake's own words are in the log.
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
  {# If the hook failed, the nodes failed because of it: warn only of the hook. #}
  {% for warning in (of_hook or of_nodes) | unique %}
    {% do exceptions.warn(warning) %}
  {% endfor %}
{% endmacro %}

{% macro _check_mark(pin, macro) %}
  {#
    The hook creates the functions that the run's nodes are marked with at parse time. If a user's
    macro calls one of ours only if is_incremental() or execute is true, there is no mark, and the
    function may be missing. This error says so at the first compilation, even if a different node
    has the function created. Nodes without properties (dbt show, operations) cannot be marked; for
    a unit test its model is.
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
    ~ macro ~ " only if is_incremental() or execute is true, so the hook cannot see that it "
    ~ "needs the function. Add this line to " ~ model.original_file_path
    ~ ": {{ config(meta={'tf_embeddings_" ~ pin.model ~ "': true}) }}"
  ) %}
{% endmacro %}
