{% test text_is_not_truncated(model, column_name, embedding_model=none) %}
  {%- set is_truncated = 'false' -%}
  {%- if execute -%}
    {%- set pin = tf_embeddings._counting_pin(embedding_model, 'text_is_not_truncated') -%}
    {%- set is_truncated = tf_embeddings._is_truncated(
      column_name, pin, 'text_is_not_truncated'
    ) -%}
  {%- else -%}
    {%- do tf_embeddings._mark(embedding_model) -%}
  {%- endif -%}

select *
from {{ model }}
where {{ is_truncated }}
{%- endtest %}
