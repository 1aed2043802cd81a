{% test embedding_dimension(model, column_name, dimensions=none, embedding_model=none) %}
  {%- if dimensions is not none and (dimensions is not integer or dimensions < 1) -%}
    {%- do exceptions.raise_compiler_error(
      "embedding_dimension: dimensions is " ~ dimensions | pprint ~ "; it must be a whole number "
      ~ "from 1, or be left out for that of the pinned model."
    ) -%}
  {%- endif -%}
  {%- set expected = dimensions -%}
  {%- if dimensions is none and execute -%}
    {%- set expected = tf_embeddings._pin(embedding_model, 'embedding_dimension').dimensions -%}
  {%- endif -%}

select *
from {{ model }}
where {{ tf_embeddings._vector_length(column_name) }} <> {{ expected }}
{%- endtest %}
