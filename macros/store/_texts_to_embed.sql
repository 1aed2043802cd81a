{% macro _texts_to_embed(limit) %}
  {# The CTE of the texts that one statement embeds: all, or so many in the order of their hash. #}
  {% set sql %}
tf_embeddings_to_embed as (
  select
    text_hash,
    text
  from tf_embeddings_unknown
  {%- if limit is not none %}
  order by text_hash
  limit {{ limit }}
  {%- endif %}
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
