{% macro _estimated(texts, table, shared, pin, counts_tokens) %}
  {#
    A query of one row: how many texts there are, how many of them the store and the shared store
    have, how many are to embed, and what the tokenizer counts of those. Only these are grouped by
    their text and reach it, the others as NULL, so that each source is read once and little is
    held. `texts` is the query of the sources' texts; the stores are relations, or none, joined as
    _new_texts does.
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
