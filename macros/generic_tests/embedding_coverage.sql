{% test embedding_coverage(
  model, column_name, text=none, status=none, embedding_model=none, at_least=none
) %}
  {%- if at_least is not none -%}
    {%- set at_least = tf_embeddings._number_argument(
      'embedding_coverage', 'at_least', at_least, 0, 1,
      'the least share of the rows with a text that have a vector'
    ) -%}
  {%- endif -%}
  {%- if execute and (text is none) == (status is none) -%}
    {%- do exceptions.raise_compiler_error(
      "embedding_coverage: it has " ~ ("neither text nor" if text is none else "both text and")
      ~ " status; set text to the column of the texts, or status to the column status of an "
      ~ "embedding store."
    ) -%}
  {%- endif -%}
  {%- if status is not none -%}
    {%- set status = tf_embeddings._sql_argument('embedding_coverage', 'status', status) -%}
    {%- set is_missing = column_name ~ ' is null and coalesce(' ~ status ~ ", '') <> 'blank'" -%}
  {%- elif execute -%}
    {#- Only the model knows which text is blank; it only sees the texts without a vector. -#}
    {%- set text = tf_embeddings._sql_argument('embedding_coverage', 'text', text) -%}
    {%- set pin = tf_embeddings._pin(embedding_model, 'embedding_coverage') -%}
    {%- set is_missing = "case when " ~ column_name ~ " is null and " ~ text ~ " is not null then "
      ~ tf_embeddings._status(text, pin, 'embedding_coverage') ~ " end <> 'blank'" -%}
  {%- elif text is not none -%}
    {%- do tf_embeddings._mark(embedding_model) -%}
  {%- endif -%}

{%- if at_least is none %}
select *
from {{ model }}
where {{ is_missing }}
{%- else %}
{{ tf_embeddings._share_of_rows(
  model, is_missing, column_name ~ ' is not null',
  'cast(tf_embeddings_counted - tf_embeddings_failing as double)'
  ~ ' / nullif(tf_embeddings_counted, 0) < ' ~ at_least
) }}
{%- endif -%}
{%- endtest %}
