{% macro _mark(name=none, store=none, embeds=true) %}
  {#
    Tells the hook, through the node's meta, which model a node embeds with, and at which pin: it is
    the one thing that a macro can leave behind at parse time, whatever macros lie between it and
    the node. A mark is a list of true, by which a user may select the nodes of a model, version and
    build, so that dbt's state comparison sees a node change with its pin. `store` is what an
    embedding_store says of itself; it has its pin in it. Nodes that do not embed, but name the
    version, have a list of that alone, and are none of the hook's.
    In upper case, DEFAULT and VERSION are no model's name. DEFAULT: there is no default model yet,
    and the hook says so.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set name = settings.default_model if name is none else name %}
  {% if config is not defined or not (name is none or name is string) %}
    {{ return('') }}
  {% endif %}

  {% set pin = settings.models.get(name) %}
  {% set pin = [pin.get('version'), pin.get('build')] if pin is mapping else [] %}
  {% if store is not none %}
    {% set key, mark = 'tf_embeddings_store', dict(store, pin=pin) %}
  {% elif embeds %}
    {% set key, mark = 'tf_embeddings_' ~ (name or 'DEFAULT'), [true] + pin %}
  {% else %}
    {% set key, mark = 'tf_embeddings_VERSION_' ~ (name or 'DEFAULT'), pin[:1] %}
  {% endif %}
  {% do config(meta={key: mark}) %}

  {#
    With the flag state_modified_compare_more_unrendered_values, which dbt 1.12 sets, dbt compares
    what config() says in the node's own code, and nothing that a macro adds, unless it is put here.
  #}
  {% set code = model.raw_code or '' %}
  {% if config.context_config is defined and modules.re.search('\\bconfig\\(', code) %}
    {% do config.context_config.add_unrendered_config_call({key: mark}) %}
  {% endif %}
{% endmacro %}

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

{% macro _models_of_node(node) %}
  {#
    The models that a node embeds with, as a map of their names to lists of version and build, which
    are empty where that was not known: what embed, token_count and embedding_store left in its meta
    at parse time; a user may write true there. They leave nothing where they are called only in a
    hook of the node, or inside is_incremental() or `if execute`, which are false then: there the
    code is searched for the call, and for the names of pinned models after it. DEFAULT stands for
    the default model.
  #}
  {% set marks = {} %}
  {% for key, mark in node.get('config', {}).get('meta', {}).items()
    if key.startswith('tf_embeddings_') %}
    {% set name = key | replace('tf_embeddings_', '', 1) %}
    {% if name == 'store' and mark is mapping %}
      {% do marks.update({(mark.model if mark.model is string else '') or 'DEFAULT': mark.pin}) %}
    {% elif mark is true %}
      {% do marks.update({name: []}) %}
    {% elif mark is sequence and mark is not string and true in mark %}
      {% do marks.update({name: mark[1:]}) %}
    {% endif %}
  {% endfor %}
  {% if marks %}
    {{ return(marks) }}
  {% endif %}

  {% set config = node.get('config', {}) %}
  {% set hooks = config.get('pre-hook', []) + config.get('post-hook', []) %}
  {% set code = [node.get('raw_code') or ''] + hooks | map(attribute='sql') | list %}
  {% set code = modules.re.sub('(?s){#.*?#}', '', code | join('\n')) %}
  {% set call = '(?s)tf_embeddings\\s*\\.\\s*((embed|token_count|embedding_store)\\s*\\('
    ~ '|nearest_neighbors\\s*\\(.*query_text)' %}
  {% if not modules.re.search(call, code) %}
    {{ return({}) }}
  {% endif %}
  {% for name in tf_embeddings._settings().models %}
    {% if modules.re.search(call ~ '.*[\'"]' ~ name ~ '[\'"]', code) %}
      {% do marks.update({name: []}) %}
    {% endif %}
  {% endfor %}
  {{ return(marks or {'DEFAULT': []}) }}
{% endmacro %}
