{% macro status() %}
  {#
    An operation: dbt run-operation tf_embeddings.status. It only reads, and has each deployed model
    embed a word. It fails, after it has printed everything, if a pinned model cannot run, so that a
    job can rely on it.
  #}
  {% set pins = tf_embeddings._pins('status') %}
  {% set inventory = tf_embeddings._inventory(pins, 'status') %}
  {% set rows = [] %}
  {% set not_ready = [] %}

  {% for pin in pins %}
    {% set pinned = inventory.pinned[loop.index0] %}
    {% set is_deployed = pinned.is_ready and pinned.function == 'yes' %}
    {% set refusal = tf_embeddings._refusal(pin) if is_deployed else none %}
    {% do rows.append([
      pin.model, pin.version, pin.build, 'yes', pinned.staged, pinned.function,
      'cannot run: ' ~ refusal if refusal else pinned.state
    ]) %}
    {% if refusal or not pinned.is_ready %}
      {% do not_ready.append(pin.model) %}
    {% endif %}
  {% endfor %}
  {% for unused in tf_embeddings._unused(pins, inventory) %}
    {% do rows.append([
      unused.model,
      unused.version,
      unused.build,
      'no' if unused.is_of_no_pin else 'yes',
      unused.bytes | filesizeformat if 'bytes' in unused else '',
      '' if 'bytes' in unused else 'yes',
      unused.why ~ ': ' ~ unused.place,
    ]) %}
  {% endfor %}

  {% do print('Target ' ~ target.name ~ ' (' ~ target.type ~ '): ' ~ inventory.place ~ '.') %}
  {% for note in inventory.notes %}
    {% do print(note) %}
  {% endfor %}
  {% if not pins %}
    {% do print('No model is pinned in var tf_embeddings_models.') %}
  {% endif %}
  {% if rows %}
    {% do tf_embeddings._table(
      ['model', 'version', 'build', 'pinned', 'staged', 'function', 'state'], rows
    ) %}
  {% endif %}
  {% if not_ready %}
    {% do exceptions.raise_compiler_error(
      "status: " ~ not_ready | length ~ " of " ~ pins | length ~ " pinned models cannot run: "
      ~ not_ready | join(', ') ~ ". The table above says what to do."
    ) %}
  {% endif %}
{% endmacro %}
