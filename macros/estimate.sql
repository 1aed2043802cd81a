{% macro estimate(store='embedding_store') %}
  {#
    An operation: dbt run-operation tf_embeddings.estimate. It only reads: the tokenizer runs, the
    model does not. No hook runs before an operation, so on Snowflake there may be no function yet
    that could count tokens.
  #}
  {% set store = tf_embeddings._named_store(store, 'estimate') %}
  {% set pin = tf_embeddings._pin(store.model, 'estimate') %}
  {% set limit = tf_embeddings._settings().max_new_texts %}
  {% set shared = tf_embeddings._shared_store(pin, store.relation) %}
  {% set deployed = tf_embeddings._inventory([pin], 'estimate').pinned[0] %}
  {% set has_function = deployed.function == 'yes' %}

  {% set texts = tf_embeddings._store_texts(store.sources) %}
  {% set counts = tf_embeddings._rows(tf_embeddings._estimated(
    texts, store.table, shared, pin, has_function and pin.kind != 'text'
  ))[0] %}
  {% set cells = [] %}
  {% for name in ['texts', 'stored', 'shared', 'new', 'tokens', 'truncated'] %}
    {% set is_unknown = counts[name] is none or (name == 'shared' and not shared) %}
    {% do cells.append('-' if is_unknown else counts[name] | int | string) %}
  {% endfor %}
  {% do tf_embeddings._table(
    [
      'model', 'version', 'texts', 'in store', 'in shared store', 'to embed', 'tokens', 'truncated',
    ],
    [[pin.model, pin.version] + cells],
  ) %}

  {% if not store.table %}
    {% do print("Store '" ~ store.name ~ "' is not built yet.") %}
  {% endif %}
  {% if pin.kind == 'text' %}
    {% do print("Models of kind text, such as " ~ pin.model ~ ", cannot tell tokens.") %}
  {% elif not has_function %}
    {% do print(
      "No tokens were counted: the function of model " ~ pin.model ~ " is not there yet ("
      ~ deployed.state | replace('ok: ', '') ~ ")."
    ) %}
  {% endif %}
  {% if limit is not none and counts.new > limit %}
    {% do print(
      (counts.new / limit) | round(0, 'ceil') | int ~ " runs: each embeds at most " ~ limit
      ~ " texts (var tf_embeddings_max_new_texts)."
    ) %}
  {% endif %}
{% endmacro %}
