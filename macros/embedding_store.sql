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
  {% if limit is not none %}
    {% do tf_embeddings._log_remaining(new_texts, limit) %}
  {% endif %}

  {# A column with one text alone is a constant to DuckDB, which calls functions of it to plan. #}
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
