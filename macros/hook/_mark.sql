{% macro _mark(model=none) %}
  {#
    Tells the hook, through the node's meta, which model a node embeds with. It is the one thing
    that a macro can leave behind at parse time, whatever macros lie between it and the node.
    DEFAULT, in upper case, is no model's name: there is no default model yet, and the hook says so.
  #}
  {% set name = model if model is not none else tf_embeddings._settings().default_model %}
  {% if config is defined and (name is none or name is string) %}
    {% do config(meta={'tf_embeddings_' ~ (name or 'DEFAULT'): true}) %}
  {% endif %}
{% endmacro %}
