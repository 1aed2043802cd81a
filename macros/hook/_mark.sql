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
