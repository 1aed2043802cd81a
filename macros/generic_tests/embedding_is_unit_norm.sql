{% test embedding_is_unit_norm(model, column_name, tolerance=0.0001) %}
  {%- set limit = tf_embeddings._number_argument(
    'embedding_is_unit_norm', 'tolerance', tolerance, 0, 1,
    'the most that a length may differ from 1'
  ) -%}
  {%- set squared_norm = tf_embeddings._squared_norm(column_name) -%}

select *
from {{ model }}
{#- Not `>`: NaN must fail, however it compares. #}
where not (abs(sqrt({{ squared_norm }}) - 1) <= {{ limit }})
{%- endtest %}
