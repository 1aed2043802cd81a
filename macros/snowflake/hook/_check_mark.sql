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
