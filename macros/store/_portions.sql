{% macro _portion() %}
  {#
    How many texts the first statement of a run embeds; none for all of them. In dbt compile, dbt
    show and unit tests no hook runs afterwards to embed the rest.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set sizes = [] %}
  {% if settings.portion != 0 and tf_embeddings._is_run()
    and model.resource_type == 'model' %}
    {% do sizes.append(
      tf_embeddings._store_pace().first if settings.portion is none else settings.portion
    ) %}
  {% endif %}
  {% if settings.max_new_texts is not none %}
    {% do sizes.append(settings.max_new_texts) %}
  {% endif %}
  {{ return(sizes | min if sizes else none) }}
{% endmacro %}

{% macro _texts_to_embed(limit) %}
  {# The CTE of the texts that one statement embeds: all, or the first ones by hash. #}
  {% set sql %}
tf_embeddings_to_embed as (
  select
    text_hash,
    text
  from tf_embeddings_unknown
  {%- if limit is not none %}
  order by text_hash
  limit {{ limit }}
  {%- endif %}
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _embed_remaining() %}
  {#
    The post-hook of a store. dbt's own statement has embedded the first portion; this embeds the
    others, each in its own transaction, so that a run that is killed keeps what is done.

    It sends the compiled SQL again, which selects what the store lacks by then. Two CTEs differ:
    the anti-join, which a first run did without, and the size of the portion. Unless it is set, it
    doubles while a statement takes less than the seconds of _store_pace, or five times what reading
    the sources takes: each statement reads them and, on Snowflake, loads the model.
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
      "embedding_store: " ~ model.unique_id ~ " has other SQL around embedding_store, so it cannot "
      ~ "embed in portions. Make the call the whole model, or set var tf_embeddings_portion to 0 "
      ~ "to embed all texts in one statement."
    ) %}
  {% endif %}

  {#
    Most runs embed little: less than a portion means that nothing is left, so the sources need not
    be read again. Not with merge: a concurrent run may have put its invocation_id on our rows.
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
  {% set enough = [tf_embeddings._store_pace().seconds, 5 * reading] | max %}
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
      ~ "statements. Raise var tf_embeddings_portion, or remove it."
    ) %}
  {% endif %}

  {% set names = get_columns_in_query(sql) | map('lower') | list %}
  {% set columns = [] %}
  {% for column in adapter.get_columns_in_relation(this) if column.name | lower in names %}
    {% do columns.append(column) %}
  {% endfor %}
  {% set said = 'embedding_store: ' ~ this.identifier ~ ' has embedded ' %}
  {% set of = ' of ' ~ tf_embeddings._thousands(total) ~ ' new texts' %}
  {% set so_far = namespace(texts=first, size=first, left='') %}
  {% for _ in range(total // first + 1) %}
    {% if so_far.texts < total %}
      {# dbt began a transaction, and `statement` begins one; the materialization ends the last. #}
      {% do adapter.commit() %}
      {% do log(said ~ tf_embeddings._thousands(so_far.texts) ~ of ~ so_far.left, info=true) %}
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
      {% set so_far.left = tf_embeddings._time_left(total - so_far.texts, took / size) %}
    {% endif %}
  {% endfor %}
  {% do log(said ~ tf_embeddings._thousands(total) ~ of, info=true) %}
  {{ return('') }}
{% endmacro %}

{% macro _log_new_texts(new_texts, limit, pin) %}
  {#
    Logs how many texts a run has to embed, if it is bounded or the first of this version. That
    reads and hashes the sources once more, so other runs do not count. Only in a run: it cannot
    query the CTEs of a unit test, or of an ephemeral source.
  #}
  {% set parents = [] %}
  {% for id in model.get('depends_on', {}).get('nodes', []) if id in graph.nodes %}
    {% do parents.append(graph.nodes[id].config.materialized) %}
  {% endfor %}
  {% if not tf_embeddings._is_run() or model.resource_type != 'model' %}
    {{ return('') }}
  {% endif %}
  {% if 'ephemeral' in parents %}
    {% if limit is not none %}
      {% do log(
        'embedding_store: embedding at most ' ~ tf_embeddings._thousands(limit) ~ ' new texts now; '
        ~ 'what remains is not counted, because a source is ephemeral', info=true
      ) %}
    {% endif %}
    {{ return('') }}
  {% endif %}
  {% if limit is none and is_incremental() %}
    {% set of_version = "select 1 from " ~ this ~ " where model_version = '" ~ pin.version ~ "'" %}
    {% if run_query(of_version ~ ' limit 1').rows %}
      {{ return('') }}
    {% endif %}
  {% endif %}

  {# dbt v2 also renders a model without a connection: even a count has no row then. #}
  {% set count = 'with ' ~ new_texts ~ '\n\nselect count(*) from tf_embeddings_unknown' %}
  {% set counts = run_query(count) %}
  {% set found = counts.rows[0][0] | int if counts.rows else 0 %}
  {% if limit is none %}
    {% if found %}
      {% do log(
        'embedding_store: ' ~ this.identifier ~ ' has ' ~ tf_embeddings._thousands(found)
        ~ ' new texts to embed', info=true
      ) %}
    {% endif %}
    {{ return('') }}
  {% endif %}
  {% set now = [found, limit] | min %}
  {% do log(
    'embedding_store: ' ~ tf_embeddings._thousands(found) ~ ' new texts, embedding '
    ~ tf_embeddings._thousands(now) ~ ' of them now; ' ~ tf_embeddings._thousands(found - now)
    ~ ' remain for the next run', info=true
  ) %}
{% endmacro %}

{% macro _time_left(texts, seconds) %}
  {# What remains, at the pace of these seconds for one text, in words; nothing if it is little. #}
  {% set left = texts * seconds %}
  {% if left < 15 %}
    {{ return('') }}
  {% elif left < 100 %}
    {{ return(', about ' ~ (left / 10) | round | int * 10 ~ ' seconds left') }}
  {% elif left < 6000 %}
    {{ return(', about ' ~ (left / 60) | round | int ~ ' minutes left') }}
  {% endif %}
  {{ return(', about ' ~ (left / 3600) | round | int ~ ' hours left') }}
{% endmacro %}

{% macro _thousands(number) %}
  {# A whole number as text, with a comma after each thousand. #}
  {% set digits = number | int | string %}
  {% if digits | length <= 3 %}
    {{ return(digits) }}
  {% endif %}
  {{ return(tf_embeddings._thousands(digits[:-3]) ~ ',' ~ digits[-3:]) }}
{% endmacro %}
