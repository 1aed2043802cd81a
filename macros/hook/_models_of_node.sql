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
