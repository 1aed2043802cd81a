{% macro _models_of_node(node) %}
  {#
    The names of the models that a node embeds with: what embed left in its meta at parse time. It
    leaves nothing where it is called only inside is_incremental() or `if execute`, which are false
    then; there the code is searched for the call, and for the pinned names after it.
  #}
  {% set names = [] %}
  {% for key, value in node.get('config', {}).get('meta', {}).items() %}
    {% if key.startswith('tf_embeddings_') and value is true %}
      {% do names.append(key | replace('tf_embeddings_', '', 1)) %}
    {% endif %}
  {% endfor %}
  {% if names %}
    {{ return(names) }}
  {% endif %}

  {% set code = modules.re.sub('(?s){#.*?#}', '', node.get('raw_code') or '') %}
  {% set call = '(?s)tf_embeddings\\s*\\.\\s*embed\\s*\\(' %}
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
