{% macro _referred_source(source, store, name, macro) %}
  {#
    A source of a store that is a ref(), as one that is the relation of what dbt found for it when
    it parsed `store`, the node, whose name to read is `name`.
  #}
  {% set package, wanted = (none, source.name) if source.name is string else source.name %}
  {% set found = [] %}
  {% for id in store.depends_on.nodes if id in graph.nodes %}
    {% set node = graph.nodes[id] %}
    {% if node.name == wanted and package in [none, node.package_name] %}
      {% do found.append(node) %}
    {% endif %}
  {% endfor %}
  {% if found | length != 1 %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": a source of store '" ~ name ~ "' is the ref " ~ source.name | pprint ~ ", and the "
      ~ "store depends on " ~ (found | map(attribute='unique_id') | join(', ') or 'none') ~ " by "
      ~ "this name. Write one of them as {'ref': ['package', 'model'], …} in "
      ~ store.original_file_path ~ "."
    ) %}
  {% endif %}
  {% set node = found[0] %}
  {% if node.config.materialized == 'ephemeral' %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ node.unique_id ~ ", a source of store '" ~ name ~ "', is ephemeral, so that "
      ~ "an operation cannot read it. Materialize it as a view, in " ~ node.original_file_path ~ "."
    ) %}
  {% endif %}
  {{ return(dict(
    source, kind='relation', name=api.Relation.create(node.database, node.schema, node.alias)
  )) }}
{% endmacro %}
