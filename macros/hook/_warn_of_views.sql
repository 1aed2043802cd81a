{% macro _warn_of_views() %}
  {#
    A model that says nothing of its materialization is a view for dbt, which embeds all its texts
    at each query, and each data test is one. What its own code calls a view is meant.
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
      "tf_embeddings: " ~ views | unique | join(', ') ~ " would be a view, and embed all its texts "
      ~ "at each query and each data test. Add {{ config(materialized='table') }}, or "
      ~ "'incremental', or 'view' where that is meant."
    ) %}
  {% endif %}
{% endmacro %}
