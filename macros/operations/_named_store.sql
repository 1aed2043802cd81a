{% macro _named_store(store, macro) %}
  {#
    A store of the project, by the name of its model, as a map of: name; model, as embedding_store
    was given it; sources, as _store_sources gives them; relation; and table, the same, or none
    while it is not built.
  #}
  {% set stores = {} %}
  {% for node in graph.nodes.values() if node.resource_type == 'model' %}
    {% if node.config.meta.get('tf_embeddings_store') is mapping %}
      {% do stores.update({node.name: node}) %}
    {% endif %}
  {% endfor %}
  {% if store is not string or store not in stores %}
    {% set next = "Name one of them in --args '{store: …}'." if stores else
      "Set var tf_embeddings_sources, or write a model with tf_embeddings.embedding_store." %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": store " ~ store | pprint ~ " is no store of this project (it has: "
      ~ (stores | sort | join(', ') or 'none') ~ "). " ~ next
    ) %}
  {% endif %}

  {% set node = stores[store] %}
  {% set declared = node.config.meta.tf_embeddings_store %}
  {% for entry in declared.sources if 'relation' in entry and not entry.relation %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": a source of store '" ~ store ~ "' is a relation passed as an object, which is "
      ~ "known only while the store is built. Write it as {'ref': '…', …} in "
      ~ node.original_file_path ~ "."
    ) %}
  {% endfor %}
  {% set relation = ref(node.package_name, node.name) %}
  {{ return({
    'name': store,
    'model': declared.model,
    'sources': tf_embeddings._store_sources(declared.sources, macro),
    'relation': relation,
    'table': load_relation(relation),
  }) }}
{% endmacro %}
