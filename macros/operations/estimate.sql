{% macro estimate(store='embedding_store') %}
  {#
    An operation: dbt run-operation tf_embeddings.estimate. It only reads; the tokenizer runs, the
    model does not. No hook runs before an operation, so on Snowflake the function that counts
    tokens may not exist yet.
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
    {% do print("Models of kind text, such as " ~ pin.model ~ ", cannot count tokens.") %}
  {% elif not has_function %}
    {% do print(
      "No tokens were counted: the function of model " ~ pin.model ~ " does not exist yet ("
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

{% macro _estimated(texts, table, shared, pin, counts_tokens) %}
  {#
    A query of one row: how many texts there are, how many the store and the shared store have, how
    many are to embed, and what the tokenizer counts of those. Known texts become NULL before they
    are grouped, so each source is read once and little is held. `texts` is the query of the
    sources' texts; the stores are relations or none, joined as in _new_texts.
  #}
  {% set stores = {} %}
  {% do stores.update({'stored': table}) if table %}
  {% do stores.update({'shared': shared}) if shared %}
  {% set sql %}
with tf_embeddings_texts as (
  {{ texts }}
),

tf_embeddings_hashed as (
  select
    text,
    {{ tf_embeddings.text_hash('text') }} as text_hash
  from tf_embeddings_texts
  where text is not null
),

tf_embeddings_placed as (
  select
    hashed.text_hash,
    hashed.text,
    case
      {%- for name in stores %}
      when {{ name }}.text_hash is not null then '{{ name }}'
      {%- endfor %}
      when true then 'new'
    end as place
  from tf_embeddings_hashed as hashed
  {%- for name, store in stores.items() %}
  left join {{ store }} as {{ name }}
    on
      hashed.text_hash = {{ name }}.text_hash
      and {{ name }}.model_version = '{{ pin.version }}'
      {%- if name == 'shared' %}
      and shared.status in ('ok', 'blank')
      {%- endif %}
  {%- endfor %}
),

tf_embeddings_distinct as (
  select
    text_hash,
    place,
    case when place = 'new' then text end as text
  from tf_embeddings_placed
  group by 1, 2, 3
),

tf_embeddings_outcomes as (
  select
    place,
    {%- if counts_tokens %}
    {{ tf_embeddings._outcome('text', pin, 'estimate', tokens_only=true) }} as outcome
    {%- else %}
    null as outcome
    {%- endif %}
  from tf_embeddings_distinct
)

select
  count(*) as texts,
  {%- for place in ['stored', 'shared', 'new'] %}
  count(case when place = '{{ place }}' then 1 end) as {{ place }},
  {%- endfor %}
  {%- if counts_tokens %}
  coalesce(sum({{ tf_embeddings._outcome_column('outcome', 'token_count', pin) }}), 0) as tokens,
  count(
    case when {{ tf_embeddings._outcome_column('outcome', 'is_truncated', pin) }} then 1 end
  ) as truncated
  {%- else %}
  null as tokens,
  null as truncated
  {%- endif %}
from tf_embeddings_outcomes
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
