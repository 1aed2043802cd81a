{% macro _search_queries(name, rows, model, keep_columns) %}
  {#
    The CTE `name` with the rows that ask, as _search_rows gives them. Where they ask by text, each
    distinct text is embedded once, and found by its hash, which no collation can fold. Nothing
    filters on the new vectors: a warehouse may compute an expression anew for a filter on it.
  #}
  {% set sql %}
  {% if rows.text is none %}
{{ name }} as (
  {{ tf_embeddings._search_rows(rows, keep_columns) }}
)
  {% else %}
tf_embeddings_questions as (
  select
    {%- if keep_columns %}
    *,
    {%- endif %}
    {{ rows.id }} as tf_embeddings_id,
    {{ rows.text }} as tf_embeddings_text,
    {{ tf_embeddings.text_hash(rows.text) }} as tf_embeddings_hash
  from {{ rows.relation }}
),

tf_embeddings_texts as (
  select
    tf_embeddings_hash,
    any_value(tf_embeddings_text) as tf_embeddings_text
  from tf_embeddings_questions
  group by tf_embeddings_hash
),

tf_embeddings_embedded as (
  select
    tf_embeddings_hash,
    {{ tf_embeddings.embed('tf_embeddings_text', model) }} as tf_embeddings_vector
  from tf_embeddings_texts
),

{{ name }} as (
  select
    tf_embeddings_questions.*,
    tf_embeddings_embedded.tf_embeddings_vector
  from tf_embeddings_questions
  inner join tf_embeddings_embedded
    on tf_embeddings_questions.tf_embeddings_hash = tf_embeddings_embedded.tf_embeddings_hash
)
  {% endif %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
