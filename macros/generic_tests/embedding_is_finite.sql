{% test embedding_is_finite(model, column_name) %}
  {%- set squared_norm = tf_embeddings._squared_norm(column_name) -%}

select *
from {{ model }}
where
  {{ column_name }} is not null
  and not coalesce({{ tf_embeddings._is_finite(squared_norm) }}, false)
{%- endtest %}
