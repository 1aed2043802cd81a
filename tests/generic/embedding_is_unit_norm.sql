{% test embedding_is_unit_norm(model, column_name, tolerance=0.0001) %}
  {#- YAML reads 1e-4 as a text. -#}
  {%- set limit = tolerance | float(-1) -%}
  {%- if tolerance is boolean or not 0 <= limit < 1 -%}
    {%- do exceptions.raise_compiler_error(
      "embedding_is_unit_norm: tolerance is " ~ tolerance | pprint ~ "; it must be a number from "
      ~ "0 to 1, the most that a length may differ from 1."
    ) -%}
  {%- endif -%}
  {%- set squared_norm = tf_embeddings._squared_norm(column_name) -%}

select *
from {{ model }}
{#- Not `>`: a length that is not a number is no length of one, however that compares. #}
where not (abs(sqrt({{ squared_norm }}) - 1) <= {{ limit }})
{%- endtest %}
