{% test embedding_is_unit_norm(model, column_name, tolerance=0.0001) %}
  {%- set limit = tf_embeddings._number_argument(
    'embedding_is_unit_norm', 'tolerance', tolerance, 0, 1,
    'the most that a length may differ from 1'
  ) -%}
  {%- set squared_norm = tf_embeddings._squared_norm(column_name) -%}

select *
from {{ model }}
{#- Not `>`: a length that is not a number is no length of one, however that compares. #}
where not (abs(sqrt({{ squared_norm }}) - 1) <= {{ limit }})
{%- endtest %}
