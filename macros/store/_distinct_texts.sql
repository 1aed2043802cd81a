{% macro _distinct_texts(pin, has_store) %}
  {#
    The CTE of the distinct texts that the store has no row of this version for; on a first run,
    when it has none at all, of all of them.
  #}
  {% set sql %}
tf_embeddings_distinct as (
  select
    tf_embeddings_hashed.text_hash,
    tf_embeddings_hashed.text
  from tf_embeddings_hashed
  {%- if has_store %}
  left join {{ this }} as tf_embeddings_store
    on
      tf_embeddings_hashed.text_hash = tf_embeddings_store.text_hash
      and tf_embeddings_store.model_version = '{{ pin.version }}'
  where tf_embeddings_store.text_hash is null
  {%- endif %}
  group by tf_embeddings_hashed.text_hash, tf_embeddings_hashed.text
)
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
