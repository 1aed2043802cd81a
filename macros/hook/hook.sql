{% macro _on_run_start() %}
  {#
    The SQL of the package's hook; empty if the run embeds nothing. It only renders text, because
    dbt compile and dbt docs generate render it too, and dbt v2 even sends it in dbt compile, show
    and clone: only commands that run models, tests or the project's own hooks get SQL. Wrong
    settings are a compiler error: a hook whose SQL fails need not stop dbt's models.
  #}
  {% if not execute %}
    {{ return('') }}
  {% endif %}

  {% set pins = tf_embeddings._pins_of_run() %}
  {% if not pins %}
    {{ return('') }}
  {% endif %}
  {% set sql = tf_embeddings._prepare_run(pins) %}
  {% if not tf_embeddings._is_run()
    and flags.WHICH not in ['test', 'seed', 'snapshot', 'freshness'] %}
    {{ return('') }}
  {% endif %}
  {% if tf_embeddings._is_run() %}
    {% do tf_embeddings._warn_of_views() %}
  {% endif %}
  {# Then no hook runs at the end to say it. #}
  {% if sql and (tf_embeddings._is_v2() or flags.SKIP_NODES_IF_ON_RUN_START_FAILS) %}
    {% do log(
      "tf_embeddings: if this hook fails, dbt run-operation tf_embeddings.status says what to do",
      info=true
    ) %}
  {% endif %}
  {{ return(sql) }}
{% endmacro %}

{% macro _is_run() %}
  {# Whether dbt builds models. In a retry 1.x and v2's previews tell the command repeated. #}
  {{ return(flags.WHICH in ['run', 'build', 'retry']) }}
{% endmacro %}

{% macro _on_run_end(results) %}
  {# Warns of what to do if a run failed because a model cannot run. It sends nothing. #}
  {% if execute and results is not none %}
    {% do tf_embeddings._explain_failures(results) %}
  {% endif %}
  {{ return('') }}
{% endmacro %}

{% macro _pins_of_run() %}
  {# The pins of the models that a run embeds with, sorted by name. #}
  {% set pins = {} %}
  {% for node in tf_embeddings._nodes_of_run() %}
    {% for name, mark in tf_embeddings._models_of_node(node).items() %}
      {% set pin = tf_embeddings._marked_pin(node, name, mark) %}
      {% do pins.update({pin.model: pin}) %}
    {% endfor %}
  {% endfor %}
  {{ return(pins | dictsort | map('last') | list) }}
{% endmacro %}

{% macro _nodes_of_run() %}
  {#
    The nodes whose SQL a run executes. They are more than it selects: the ephemeral models that a
    node reads are part of its SQL, and the project's hooks always run. A unit test runs only the
    SQL of its model.
  #}
  {% set ids = [] %}
  {% set unit_tested = [] %}
  {% set nodes = [] %}

  {% for node in graph.nodes.values() if node.resource_type == 'operation' %}
    {% do ids.append(node.unique_id) %}
  {% endfor %}
  {% for id in selected_resources %}
    {% if id.startswith('unit_test.') %}
      {# unit_test.<package>.<model>.<name>, with _v<version> at its end if the model has one #}
      {% set model = 'model.' ~ id.split('.')[1:-1] | join('.') %}
      {% do unit_tested.extend([model, model ~ '.v' ~ id.split('_v') | last]) %}
    {% else %}
      {% do ids.append(id) %}
    {% endif %}
  {% endfor %}

  {# The list grows while it is read: an ephemeral model may read another ephemeral model. #}
  {% for id in ids if id in graph.nodes %}
    {% for parent in graph.nodes[id].depends_on.get('nodes', []) if parent in graph.nodes %}
      {% if graph.nodes[parent].config.materialized == 'ephemeral' and parent not in ids %}
        {% do ids.append(parent) %}
      {% endif %}
    {% endfor %}
  {% endfor %}

  {% for id in ids + unit_tested if id in graph.nodes %}
    {% do nodes.append(graph.nodes[id]) %}
  {% endfor %}
  {{ return(nodes) }}
{% endmacro %}

{% macro _warn_of_views() %}
  {#
    Warns of models that are views by dbt's default: a view embeds all its texts at each query, and
    at each data test. A model whose own code says view is meant to be one.
  #}
  {% set views = [] %}
  {% for node in tf_embeddings._nodes_of_run() if node.resource_type == 'model' %}
    {% set is_view = node.config.materialized == 'view' %}
    {% if is_view and 'materialized' not in node.raw_code
      and tf_embeddings._models_of_node(node) %}
      {% do views.append(node.unique_id) %}
    {% endif %}
  {% endfor %}
  {% if views %}
    {% do exceptions.warn(
      "tf_embeddings: " ~ views | unique | join(', ') ~ " would be a view, which embeds all its "
      ~ "texts at each query and each data test. Add {{ config(materialized='table') }}, or "
      ~ "'incremental'; or 'view' to keep it a view."
    ) %}
  {% endif %}
{% endmacro %}
