{% macro embedding_store(sources, model=none, keep_text=false) %}
  {% if not execute %}
    {% do tf_embeddings._configure_store(sources, model, keep_text) %}
    {{ return('select 1 as text_hash') }}
  {% endif %}

  {% set pin = tf_embeddings._pin(model, 'embedding_store') %}
  {% do tf_embeddings._boolean_argument(
    'embedding_store', 'keep_text', keep_text,
    'true or false: whether the store keeps the texts beside their hashes'
  ) %}
  {% set declared = sources %}
  {% set sources = tf_embeddings._store_sources(declared, 'embedding_store') %}
  {% do tf_embeddings._check_store(declared, pin) %}
  {% set shared = tf_embeddings._shared_store(pin, this) %}
  {% set limit = tf_embeddings._settings().max_new_texts %}
  {% set columns = ['text_hash'] + (['text'] if keep_text else []) + [
    'model', 'model_version', 'embedding', 'token_count', 'is_truncated', 'status', 'embedded_at',
    'invocation_id',
  ] %}
  {% set new_texts = tf_embeddings._new_texts(sources, pin, shared) %}
  {% do tf_embeddings._log_new_texts(new_texts, limit, pin) %}

  {# DuckDB takes a column with a single text for a constant, and embeds it while it plans. #}
  {% set text = 'case when text_hash is not null then text end' %}
  {% set sql %}
with {{ new_texts }},

{{ tf_embeddings._texts_to_embed(tf_embeddings._portion()) }},

tf_embeddings_outcomes as (
  select
    text_hash,
    text,
    {{ tf_embeddings._outcome(text, pin, 'embedding_store') }} as outcome
  from tf_embeddings_to_embed
)

select
  text_hash,
  {%- if keep_text %}
  text,
  {%- endif %}
  cast('{{ pin.model }}' as varchar) as model,
  cast('{{ pin.version }}' as varchar) as model_version,
  {%- for column in ['embedding', 'token_count', 'is_truncated', 'status'] %}
  {{ tf_embeddings._outcome_column('outcome', column, pin) }} as {{ column }},
  {%- endfor %}
  {{ dbt.current_timestamp() }} as embedded_at,
  cast('{{ invocation_id }}' as varchar) as invocation_id
from tf_embeddings_outcomes
  {%- if shared %}

union all

select
  {%- for column in columns %}
  {{ 'tf_embeddings_distinct.text' if column == 'text' else 'tf_embeddings_shared.' ~ column }}
    {%- if not loop.last %},{% endif %}
  {%- endfor %}
from tf_embeddings_distinct
inner join {{ shared }} as tf_embeddings_shared
  on
    tf_embeddings_distinct.text_hash = tf_embeddings_shared.text_hash
    and tf_embeddings_shared.model_version = '{{ pin.version }}'
    and tf_embeddings_shared.status in ('ok', 'blank')
  {%- endif %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _configure_store(sources, model, keep_text) %}
  {#
    What a store sets at parse time: how dbt builds it, the meta that operations read, and, through
    ref() and source(), the edges of the graph. Sources of a wrong shape are skipped here;
    _store_sources refuses them later.
  #}
  {% set declared = tf_embeddings._declared_sources(sources) %}
  {% for entry in declared %}
    {% for kind in ['ref', 'source'] if kind in entry %}
      {% set name = entry[kind] %}
      {% set is_pair = tf_embeddings._is_list_of_strings(name) and name | length == 2 %}
      {% if is_pair or (kind == 'ref' and name is string and name) %}
        {% do tf_embeddings._source_relation({'kind': kind, 'name': name}) %}
      {% endif %}
    {% endfor %}
  {% endfor %}
  {% do config(
    on_schema_change='append_new_columns',
    post_hook='{{ tf_embeddings._embed_remaining() }}',
    **tf_embeddings._store_config()
  ) %}
  {% do tf_embeddings._mark(
    model, store={'sources': declared, 'model': model, 'keep_text': keep_text}
  ) %}
{% endmacro %}

{% macro _store_config() %}
  {# How dbt builds a store. With any other value texts would be embedded again, or twice. #}
  {{ return({
    'materialized': 'incremental',
    'incremental_strategy': tf_embeddings._store_strategy(),
    'unique_key': ['text_hash', 'model_version'],
    'full_refresh': none if tf_embeddings._settings().full_refresh else false,
  }) }}
{% endmacro %}

{% macro _check_store(sources, pin) %}
  {#
    Refuses, before anything runs, what would embed every text at every run or fail half-way. The
    project's `models: +…` overrules the config of a package's models, this store's included. A
    unit test only runs the SQL, on made-up rows.
  #}
  {% if model is not mapping or model.resource_type != 'model' %}
    {{ return('') }}
  {% endif %}
  {% for key, value in tf_embeddings._store_config().items() if model.config.get(key) != value %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ model.unique_id ~ " has the config " ~ key ~ ": "
      ~ model.config.get(key) ~ "; it must be " ~ value ~ ", otherwise existing texts may be "
      ~ "embedded again. Leave " ~ key ~ " to embedding_store: in dbt_project.yml, move +" ~ key
      ~ " below the project's name, because directly below models it also applies to packages."
    ) %}
  {% endfor %}
  {% set declared = model.config.meta.get('tf_embeddings_store', {}).get('sources') %}
  {% if declared != tf_embeddings._declared_sources(sources) %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: the sources of " ~ model.unique_id ~ " are "
      ~ tf_embeddings._quoted(sources) ~ ", but dbt parsed " ~ tf_embeddings._quoted(declared)
      ~ ", which prune and estimate would read. Name models as "
      ~ "{'ref': …}; sources must not depend on a query, on `execute` or on ref() in a string."
    ) %}
  {% endif %}
  {% set existing = load_relation(this) if tf_embeddings._is_run() else none %}
  {% if existing and existing.is_view and not should_full_refresh() %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ this ~ " is a view, which dbt clone makes if it cannot copy tables. A "
      ~ "run would replace it and embed all its texts again. Drop the view, and name the store "
      ~ "that it shows in var tf_embeddings_shared_store: the new store copies its rows."
    ) %}
  {% endif %}
  {% set hooks = model.config.get('post-hook') or [] %}
  {% if hooks and '_embed_remaining' not in hooks[0].sql and tf_embeddings._portion() is not none %}
    {% do exceptions.warn(
      "embedding_store: " ~ model.unique_id ~ " has a post-hook that runs after the first portion "
      ~ "is embedded, not after all texts are: " ~ hooks[0].sql ~ ". If it reads the store, move "
      ~ "it to a model that reads the store, or set var tf_embeddings_portion to 0."
    ) %}
  {% endif %}
  {% if not is_incremental() %}
    {{ return('') }}
  {% endif %}

  {% set stored = tf_embeddings._stored_type(this) %}
  {% set type = tf_embeddings._vector_type(pin.dimensions) | replace(' ', '') %}
  {% if stored and stored != type %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ this ~ " holds vectors of the type " ~ stored ~ ", and those of model '"
      ~ pin.model ~ "' are " ~ type ~ "; a store holds vectors of one type. Give this model a "
      ~ "different alias, or write a second model with embedding_store."
    ) %}
  {% endif %}
{% endmacro %}
