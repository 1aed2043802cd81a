{% macro _named_store(store, macro, reads_sources=true) %}
  {#
    A store of the project by a unique name ('store', 'store.v1' of a model with versions,
    'package.store'), as a map: name, the shortest unique one; model, as embedding_store got it;
    sources, as of _store_sources, with relations instead of refs, or none without reads_sources;
    relation; and table, the same relation, or none while it is not built.

    Not by ref(): in an operation, ref() would resolve names from this package, take the latest
    version, and refuse private models.
  #}
  {% set nodes = {} %}
  {% set named = {} %}
  {% for node in graph.nodes.values() if node.resource_type == 'model' %}
    {% if node.config.meta.get('tf_embeddings_store') is mapping %}
      {% set version = node.get('version') %}
      {% set versioned = [] if version is none else [node.name ~ '.v' ~ version] %}
      {% set names = [node.name] + versioned %}
      {% for name in [node.name] + versioned %}
        {% do names.append(node.package_name ~ '.' ~ name) %}
      {% endfor %}
      {% for name in names %}
        {% do named.setdefault(name, []).append(node.unique_id) %}
      {% endfor %}
      {% do nodes.update({node.unique_id: names}) %}
    {% endif %}
  {% endfor %}
  {% set labels = {} %}
  {% for id, names in nodes.items() %}
    {% for name in names if named[name] | length == 1 %}
      {% do labels.setdefault(id, name) %}
    {% endfor %}
  {% endfor %}
  {% set found = named.get(store, []) if store is string else [] %}
  {% if found | length != 1 %}
    {% set names = [] %}
    {% for id in found or nodes %}
      {% do names.append(labels.get(id, id)) %}
    {% endfor %}
    {% set next = "Name one of them in --args '{store: …}'." if nodes else
      "Set var tf_embeddings_sources, or write a model with tf_embeddings.embedding_store." %}
    {% set list = names | sort | join(', ') or 'none' %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": store " ~ tf_embeddings._quoted(store)
      ~ (" is the name of several stores: " ~ list ~ ". " if found else
        " is not a store of this project (it has: " ~ list ~ "). ")
      ~ next
    ) %}
  {% endif %}

  {% set node, name = graph.nodes[found[0]], labels[found[0]] %}
  {% set declared = node.config.meta.tf_embeddings_store %}
  {% set sources = [] %}
  {% if reads_sources %}
    {% for entry in declared.sources if 'relation' in entry and not entry.relation %}
      {% do exceptions.raise_compiler_error(
        macro ~ ": a source of store '" ~ name ~ "' is a relation passed as an object, which only "
        ~ "the build of the store knows. Write it as {'ref': '…', …} in " ~ node.original_file_path
        ~ "."
      ) %}
    {% endfor %}
    {% for source in tf_embeddings._store_sources(declared.sources, macro) %}
      {% set is_ref = source.kind == 'ref' %}
      {% if is_ref %}
        {% set source = tf_embeddings._referred_source(source, node, name, macro) %}
      {% endif %}
      {% if is_ref and not load_relation(source.name) %}
        {% do exceptions.raise_compiler_error(
          macro ~ ": " ~ source.name ~ ", a source of store '" ~ name ~ "', is not built yet. "
          ~ "Build what the store reads: dbt build --select +" ~ node.name ~ " --exclude "
          ~ node.name
        ) %}
      {% endif %}
      {% do sources.append(source) %}
    {% endfor %}
  {% endif %}
  {% set relation = api.Relation.create(node.database, node.schema, node.alias) %}
  {{ return({
    'name': name,
    'model': declared.model,
    'sources': sources if reads_sources else none,
    'relation': relation,
    'table': load_relation(relation),
  }) }}
{% endmacro %}

{% macro _referred_source(source, store, name, macro) %}
  {#
    A source of a store that is a ref(), as a source that is a relation: the one that dbt resolved
    when it parsed the node `store`, which `name` names in errors.
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
      macro ~ ": a source of store '" ~ name ~ "' is the ref " ~ tf_embeddings._quoted(source.name)
      ~ ", and the "
      ~ "store depends on " ~ (found | map(attribute='unique_id') | join(', ') or 'none') ~ " by "
      ~ "this name. Write one of them as {'ref': ['package', 'model'], …} in "
      ~ store.original_file_path ~ "."
    ) %}
  {% endif %}
  {% set node = found[0] %}
  {% if node.config.materialized == 'ephemeral' %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ node.unique_id ~ ", a source of store '" ~ name ~ "', is ephemeral, so an "
      ~ "operation cannot read it. Materialize it as a view, in " ~ node.original_file_path ~ "."
    ) %}
  {% endif %}
  {{ return(dict(
    source, kind='relation', name=api.Relation.create(node.database, node.schema, node.alias)
  )) }}
{% endmacro %}
