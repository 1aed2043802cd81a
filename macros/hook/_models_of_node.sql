{% macro _models_of_node(node) %}
  {#
    The names of the models that a node uses: what embed, token_count and embedding_store left in
    its meta at parse time. They leave nothing where they are called only in a hook of the node, or
    inside is_incremental() or `if execute`, which are false then: there the code is searched for
    the call, and for the names of pinned models after it. DEFAULT stands for the default model.
  #}
  {% set names = [] %}
  {% for key, value in node.get('config', {}).get('meta', {}).items() %}
    {% if key.startswith('tf_embeddings_') and value is true %}
      {% do names.append(key | replace('tf_embeddings_', '', 1)) %}
    {% elif key == 'tf_embeddings_store' and value is mapping %}
      {% do names.append(value.model or 'DEFAULT') %}
    {% endif %}
  {% endfor %}
  {% if names %}
    {{ return(names) }}
  {% endif %}

  {% set config = node.get('config', {}) %}
  {% set hooks = config.get('pre-hook', []) + config.get('post-hook', []) %}
  {% set code = [node.get('raw_code') or ''] + hooks | map(attribute='sql') | list %}
  {% set code = modules.re.sub('(?s){#.*?#}', '', code | join('\n')) %}
  {% set call = '(?s)tf_embeddings\\s*\\.\\s*((embed|token_count|embedding_store)\\s*\\('
    ~ '|nearest_neighbors\\s*\\(.*query_text)' %}
  {% if not modules.re.search(call, code) %}
    {{ return([]) }}
  {% endif %}
  {% for name in tf_embeddings._settings().models %}
    {% if modules.re.search(call ~ '.*[\'"]' ~ name ~ '[\'"]', code) %}
      {% do names.append(name) %}
    {% endif %}
  {% endfor %}
  {{ return(names or ['DEFAULT']) }}
{% endmacro %}
