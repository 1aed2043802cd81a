{% test embedding_dimension(model, column_name, dimensions=none, embedding_model=none) %}
  {%- set expected = dimensions -%}
  {%- if dimensions is not none -%}
    {%- set expected = tf_embeddings._number_argument(
      'embedding_dimension', 'dimensions', dimensions, 1, none,
      'or be left out for that of the pinned model', whole=true
    ) -%}
  {%- elif execute -%}
    {%- set expected = tf_embeddings._pin(embedding_model, 'embedding_dimension').dimensions -%}
  {%- endif -%}

select *
from {{ model }}
where {{ tf_embeddings._vector_length(column_name) }} <> {{ expected }}
{%- endtest %}
