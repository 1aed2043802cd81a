{% macro _marked_pin(node, name, mark) %}
  {#
    The pin of a model that a node embeds with, by its mark; see _models_of_node. The node was
    parsed with the vars of its own package, and another pin than ours would name another function.
  #}
  {% set is_known = name == 'DEFAULT' or name in tf_embeddings._settings().models %}
  {% if is_known or not mark %}
    {% set pin = tf_embeddings._pin(none if name == 'DEFAULT' else name) %}
    {% if not mark or mark == [pin.version, pin.build] %}
      {{ return(pin) }}
    {% endif %}
  {% endif %}

  {% do exceptions.raise_compiler_error(
    "embed: " ~ node.unique_id ~ " embeds with model '" ~ name ~ "', version " ~ mark[0]
    ~ ", build " ~ mark[1] ~ ", and the hook of the package sees "
    ~ ("version " ~ pin.version ~ ", build " ~ pin.build if is_known else "no pin of that name")
    ~ ". Pin it for all packages alike, below vars: in the dbt_project.yml of " ~ project_name ~ "."
  ) %}
{% endmacro %}
