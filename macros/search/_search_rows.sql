{% macro _search_rows(rows, keep_columns=false) %}
  {#
    A query of the rows that take part in a search: tf_embeddings_id, tf_embeddings_vector and,
    if there is one, tf_embeddings_block; and all columns of the relation where a filter may name
    them.
  #}
  {% set sql %}
  select
    {%- if keep_columns %}
    *,
    {%- endif %}
    {{ rows.id }} as tf_embeddings_id,
    {{ rows.embedding }} as tf_embeddings_vector
    {%- if rows.block %},
    {{ rows.block }} as tf_embeddings_block
    {%- endif %}
  from {{ rows.relation }}
    {%- if rows.condition %}
  where {{ rows.condition }}
    {%- endif %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
