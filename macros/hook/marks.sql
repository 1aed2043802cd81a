{% macro _mark(name=none, store=none, embeds=true) %}
  {#
    Marks a node, in its meta, with the model and the pin that it embeds with, for the hook to find:
    meta is all that a macro can leave behind at parse time, however deep it is called.

    tf_embeddings_<model>: [true, version, build]. With `true` a user can select the nodes of a
    model; with version and build, dbt's state comparison sees a node change with its pin.
    tf_embeddings_store: what an embedding_store says of itself, with its pin.
    tf_embeddings_VERSION_<model>: [version], of nodes that name the version and do not embed. The
    hook ignores them.

    <model> is DEFAULT if there is no default model yet; the hook then says so. Model names are
    lower case, so neither DEFAULT nor VERSION can be one.
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
    With the flag state_modified_compare_more_unrendered_values, on by default in dbt 1.12, dbt
    compares only the config() calls in the node's own code. This adds the mark to them.
  #}
  {% set code = model.raw_code or '' %}
  {% if config.context_config is defined and modules.re.search('\\bconfig\\(', code) %}
    {% do config.context_config.add_unrendered_config_call({key: mark}) %}
  {% endif %}
{% endmacro %}

{% macro _marked_pin(node, name, mark) %}
  {#
    The pin of a model that a node embeds with; `mark` is from _models_of_node. The node was parsed
    with the vars of its own package: if its pin differs from ours, it calls a different function.
  #}
  {% set is_known = name == 'DEFAULT' or name in tf_embeddings._settings().models %}
  {% if is_known or not mark %}
    {% set pin = tf_embeddings._pin(
      none if name == 'DEFAULT' else name,
      'embed' if is_known else 'embed in ' ~ node.original_file_path,
      takes='any'
    ) %}
    {% if not mark or mark == [pin.version, pin.build] %}
      {{ return(pin) }}
    {% endif %}
  {% endif %}

  {% do exceptions.raise_compiler_error(
    "embed: " ~ node.unique_id ~ " embeds with model '" ~ name ~ "', version " ~ mark[0]
    ~ ", build " ~ mark[1] ~ ", and the hook of the package sees "
    ~ ("version " ~ pin.version ~ ", build " ~ pin.build if is_known else "no pin of that name")
    ~ ". Pin it for all packages, directly below vars: in the dbt_project.yml of " ~ project_name
    ~ "."
  ) %}
{% endmacro %}

{% macro _models_of_node(node) %}
  {#
    The models that a node embeds with, as a map of name -> [version, build], or [] if the pin was
    not known; DEFAULT stands for the default model. They are the marks that _mark left in the
    node's meta at parse time, or `true`, which a user may write there.

    A macro that is called only in a hook of the node, inside is_incremental() or in `if execute`
    leaves no mark, because it does not run at parse time. Then the node's code is searched for the
    call, and for the names of pinned models after it.
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
  {% set start = '(?s)tf_embeddings\\s*\\.\\s*' %}
  {% set embeds = start ~ '((embed|token_count|embedding_store)\\s*\\('
    ~ '|nearest_neighbors\\s*\\(.*query_text)' %}
  {% set reranks = start ~ 'rerank\\s*\\(' %}
  {% for call in [embeds, reranks] if modules.re.search(call, code) %}
    {% set named = [] %}
    {% for name in tf_embeddings._settings().models %}
      {% if modules.re.search(call ~ '.*[\'"]' ~ name ~ '[\'"]', code) %}
        {% do named.append(name) %}
      {% endif %}
    {% endfor %}
    {% set default = 'DEFAULT' if call == embeds else tf_embeddings._reranker(none) %}
    {% set names = named or [default] %}
    {% for name in names if name is not none %}
      {% do marks.update({name: []}) %}
    {% endfor %}
  {% endfor %}
  {{ return(marks) }}
{% endmacro %}
