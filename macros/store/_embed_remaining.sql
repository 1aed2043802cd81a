{% macro _embed_remaining() %}
  {#
    The post-hook of a store. dbt's one statement has embedded a first portion; this embeds the
    others, each in a transaction of its own, so that a run that is killed keeps those before.

    It sends the compiled SQL again, which is of what the store does not have yet. Two CTEs of it
    differ: a first run had no store to look at, and the size of a portion. The latter doubles while
    a statement takes less than ten seconds, unless it is set: a statement has its price, to read
    the sources and, on Snowflake, to load the model.
  #}
  {% set first = tf_embeddings._portion() if execute else none %}
  {% set settings = tf_embeddings._settings() %}
  {% if first is none or first == settings.max_new_texts %}
    {{ return('') }}
  {% endif %}
  {% set pin = tf_embeddings._pin(model.config.meta.tf_embeddings_store.model, 'embedding_store') %}

  {# Most runs embed little, and need not read the sources again to know that nothing is left. #}
  {% set embedded %}
select count(*)
from {{ this }}
where model_version = '{{ pin.version }}' and invocation_id = '{{ invocation_id }}'
  {% endset %}
  {% if run_query(embedded).rows[0][0] < first %}
    {{ return('') }}
  {% endif %}

  {% set sent = tf_embeddings._texts_to_embed(first) %}
  {% set parts = sql.replace(
    tf_embeddings._distinct_texts(pin, false), tf_embeddings._distinct_texts(pin, true)
  ).split(sent) %}
  {% if parts | length != 2 or parts[0].count('(') != parts[0].count(')') %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ model.unique_id ~ " has other SQL around embedding_store, and so "
      ~ "cannot embed in portions. Let the call be the whole model, or set var "
      ~ "tf_embeddings_portion to 0: one statement embeds all then."
    ) %}
  {% endif %}
  {% set left = run_query(parts[0] ~ sent ~ '\n\nselect count(*) from tf_embeddings_unknown') %}
  {% set total = first + left.rows[0][0] | int %}
  {% if settings.max_new_texts is not none %}
    {% set total = [total, settings.max_new_texts] | min %}
  {% endif %}
  {% if total == first %}
    {{ return('') }}
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
        {%- if tf_embeddings._store_strategy() == 'append' %}
          {{- get_insert_into_sql(this, rows, columns) }}
        {%- else %}
          {{- get_merge_sql(this, rows, config.get('unique_key'), columns) }}
        {%- endif %}
      {% endcall %}
      {% set took = (modules.datetime.datetime.now() - began).total_seconds() %}
      {% if settings.portion is none and took < 10 %}
        {% set so_far.size = so_far.size * 2 %}
      {% endif %}
      {% set so_far.texts = so_far.texts + size %}
    {% endif %}
  {% endfor %}
  {% do log(said ~ total ~ of, info=true) %}
  {{ return('') }}
{% endmacro %}
