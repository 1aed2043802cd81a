{% test embedding_coverage(model, column_name, text, embedding_model=none) %}
  {#- Only the model says which text is blank; it is asked about texts without a vector alone. -#}
  {%- set status = 'null' -%}
  {%- if execute -%}
    {%- set text = tf_embeddings._sql_argument('embedding_coverage', 'text', text) -%}
    {%- set pin = tf_embeddings._pin(embedding_model, 'embedding_coverage') -%}
    {%- set status = tf_embeddings._status(text, pin, 'embedding_coverage') -%}
  {%- else -%}
    {%- do tf_embeddings._mark(embedding_model) -%}
  {%- endif -%}

select *
from {{ model }}
where
  case
    when {{ column_name }} is null and {{ text }} is not null then {{ status }}
  end <> 'blank'
{%- endtest %}
