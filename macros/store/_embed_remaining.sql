{% macro _embed_remaining() %}
  {#
    The post-hook of a store. dbt's one statement has embedded a first portion; this embeds the
    others, each in a transaction of its own, so that a run that is killed keeps those before.

    It sends the compiled SQL again, which is of what the store does not have yet. Two CTEs of it
    differ: a first run had no store to look at, and the size of a portion. Unless it is set, it
    doubles while a statement takes less than ten seconds, or a minute on Snowflake, or five times
    what it takes to read the sources: a statement has its price, to read them and, on Snowflake, to
    load the model.
  #}
  {% set first = tf_embeddings._portion() if execute else none %}
  {% set settings = tf_embeddings._settings() %}
  {% if first is none or first == settings.max_new_texts %}
    {{ return('') }}
  {% endif %}
  {% set pin = tf_embeddings._pin(model.config.meta.tf_embeddings_store.model, 'embedding_store') %}

  {% set sent = tf_embeddings._texts_to_embed(first) %}
  {% set parts = sql.replace(
    tf_embeddings._distinct_texts(pin, false), tf_embeddings._distinct_texts(pin, true)
  ).split(sent) %}
  {% set end = sql | trim %}
  {% set is_whole = end.endswith('from tf_embeddings_outcomes')
    or end.endswith("and tf_embeddings_shared.status in ('ok', 'blank')") %}
  {% if parts | length != 2 or not is_whole %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ model.unique_id ~ " has other SQL around embedding_store, and so "
      ~ "cannot embed in portions. Let the call be the whole model, or set var "
      ~ "tf_embeddings_portion to 0: one statement embeds all then."
    ) %}
  {% endif %}

  {#
    Most runs embed little, and need not read the sources again to know that nothing is left. But a
    run that merged the same rows at the same time has put its own name on ours.
  #}
  {% set strategy = tf_embeddings._store_strategy() %}
  {% if strategy == 'append' %}
    {% set embedded %}
select count(*)
from {{ this }}
where model_version = '{{ pin.version }}' and invocation_id = '{{ invocation_id }}'
    {% endset %}
    {% if run_query(embedded).rows[0][0] < first %}
      {{ return('') }}
    {% endif %}
  {% endif %}

  {% set began = modules.datetime.datetime.now() %}
  {% set left = run_query(parts[0] ~ sent ~ '\n\nselect count(*) from tf_embeddings_unknown') %}
  {% set reading = (modules.datetime.datetime.now() - began).total_seconds() %}
  {% set enough = [60 if target.type == 'snowflake' else 10, 5 * reading] | max %}
  {% set total = first + left.rows[0][0] | int %}
  {% if settings.max_new_texts is not none %}
    {% set total = [total, settings.max_new_texts] | min %}
  {% endif %}
  {% if total == first %}
    {{ return('') }}
  {% endif %}
  {% if total // first >= 100000 %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ total ~ " new texts in portions of " ~ first ~ " are more than 100,000 "
      ~ "statements. Give var tf_embeddings_portion a larger number, or leave it out."
    ) %}
  {% endif %}

  {% set names = get_columns_in_query(sql) | map('lower') | list %}
  {% set columns = [] %}
  {% for column in adapter.get_columns_in_relation(this) if column.name | lower in names %}
    {% do columns.append(column) %}
  {% endfor %}
  {% set said = 'embedding_store: ' ~ this.identifier ~ ' has embedded ' %}
  {% set of = ' of ' ~ total ~ ' new texts' %}
  {% set so_far = namespace(texts=first, size=first) %}
  {% for _ in range(total // first + 1) %}
    {% if so_far.texts < total %}
      {# dbt has begun a transaction, and so does `statement`; the materialization ends the last. #}
      {% do adapter.commit() %}
      {% do log(said ~ so_far.texts ~ of, info=true) %}
      {% set size = [so_far.size, total - so_far.texts] | min %}
      {% set rows = '(\n' ~ parts | join(tf_embeddings._texts_to_embed(size)) ~ '\n)' %}
      {% set began = modules.datetime.datetime.now() %}
      {% call statement('tf_embeddings_portion', auto_begin=true) %}
        {%- if strategy == 'append' %}
          {{- get_insert_into_sql(this, rows, columns) }}
        {%- else %}
          {{- get_merge_sql(this, rows, config.get('unique_key'), columns) }}
        {%- endif %}
      {% endcall %}
      {% set took = (modules.datetime.datetime.now() - began).total_seconds() %}
      {% if settings.portion is none and took < enough %}
        {% set so_far.size = so_far.size * 2 %}
      {% endif %}
      {% set so_far.texts = so_far.texts + size %}
    {% endif %}
  {% endfor %}
  {% do log(said ~ total ~ of, info=true) %}
  {{ return('') }}
{% endmacro %}
