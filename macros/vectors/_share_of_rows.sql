{% macro _share_of_rows(relation, is_failing, counts, condition) %}
  {#
    A query of the failing rows of a relation, and of none unless `condition` holds of their number,
    tf_embeddings_failing, and that of the rows that count, tf_embeddings_counted: `counts` is the
    condition of those that do. Each row is looked at once, for the model may be asked about it.
  #}
  {% set sql %}
with tf_embeddings_looked_at as (
  select
    *,
    coalesce({{ is_failing }}, false) as tf_embeddings_is_failing
  from {{ relation }}
),

tf_embeddings_numbered as (
  select
    *,
    count(case when tf_embeddings_is_failing then 1 end) over () as tf_embeddings_failing,
    count(case when tf_embeddings_is_failing or {{ counts }} then 1 end) over ()
      as tf_embeddings_counted
  from tf_embeddings_looked_at
)

select * exclude (tf_embeddings_is_failing, tf_embeddings_failing, tf_embeddings_counted)
from tf_embeddings_numbered
where tf_embeddings_is_failing and {{ condition }}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
