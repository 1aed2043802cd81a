{% test embedding_is_not_zero(model, column_name) -%}
select *
from {{ model }}
where {{ tf_embeddings._squared_norm(column_name) }} = 0
{%- endtest %}
