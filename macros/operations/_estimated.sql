{% macro _estimated(texts, table, shared, pin, counts_tokens) %}
  {#
    A query of one row: how many texts there are, how many of them the store and the shared store
    have, how many are to embed, and what the tokenizer counts of those. The others reach it as
    NULL, so that each source is read once. `texts` is the query of the sources' texts; the stores
    are relations, or none.
  #}
  {% set stores = {'stored': table, 'shared': shared} %}
  {% set is_new = 'stored.text_hash is null and shared.text_hash is null' %}
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

tf_embeddings_distinct as (
  select
    text_hash,
    any_value(text) as text
  from tf_embeddings_hashed
  group by text_hash
),

  {% for name, store in stores.items() %}
tf_embeddings_{{ name }} as (
    {%- if store %}
  select distinct text_hash
  from {{ store }}
  where
    model_version = '{{ pin.version }}'
    {%- if name == 'shared' %}
    and status in ('ok', 'blank')
    {%- endif %}
    {%- else %}
  select cast(null as varchar) as text_hash
    {%- endif %}
),

  {% endfor %}
tf_embeddings_found as (
  select
    case
      when stored.text_hash is not null then 'stored'
      when shared.text_hash is not null then 'shared'
      else 'new'
    end as place,
    {%- if counts_tokens %}
    {{ tf_embeddings._outcome(
      'case when ' ~ is_new ~ ' then texts.text end', pin, 'estimate', tokens_only=true
    ) }} as outcome
    {%- else %}
    null as outcome
    {%- endif %}
  from tf_embeddings_distinct as texts
  {%- for name in stores %}
  left join tf_embeddings_{{ name }} as {{ name }}
    on texts.text_hash = {{ name }}.text_hash
  {%- endfor %}
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
from tf_embeddings_found
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
