{% test embedding_version_is_current(model, column_name, embedding_model=none) %}
  {%- set current = 'none' -%}
  {%- if execute -%}
    {%- set pin = tf_embeddings._pin(embedding_model, 'embedding_version_is_current') -%}
    {%- set current = pin.version -%}
  {%- endif -%}

select *
from {{ model }}
where {{ column_name }} <> '{{ current }}'
{%- endtest %}
