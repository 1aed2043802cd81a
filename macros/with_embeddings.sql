{% macro with_embeddings(
  relation,
  text,
  store,
  model=none,
  embedding_column='embedding',
  version_column='model_version'
) %}
  {% set columns = {'embedding_column': embedding_column, 'version_column': version_column} %}
  {% for argument, name in columns.items() if execute %}
    {% if name is not string or not modules.re.match('([A-Za-z_][A-Za-z0-9_$]*|"[^"]+")$', name) %}
      {% do exceptions.raise_compiler_error(
        "with_embeddings: " ~ argument ~ " is " ~ name | pprint ~ "; it must be the name of a "
        ~ "column that the relation does not have, such as 'title_embedding'."
      ) %}
    {% endif %}
  {% endfor %}
  {% set text = tf_embeddings._sql_argument('with_embeddings', 'text', text) %}
  {% set dimensions = 1 %}
  {% if execute %}
    {% set pin = tf_embeddings._pin(model, 'with_embeddings') %}
    {% set dimensions = pin.dimensions %}
    {% do tf_embeddings._require_stored(store, pin) %}
    {% do tf_embeddings._check_joined(relation, text, store, pin, columns) %}
  {% endif %}
  {% set relation = tf_embeddings._relation_argument('with_embeddings', 'relation', relation) %}
  {% set store = tf_embeddings._relation_argument('with_embeddings', 'store', store) %}
  {# Unqualified names: a relation that has such a column already is an error, not a second one. #}
  {% set sql %}
with tf_embeddings_rows as (
  select
    *,
    {{ tf_embeddings.text_hash(text) }} as tf_embeddings_hash
  from {{ relation }}
),

tf_embeddings_store as (
  select
    text_hash,
    {{ tf_embeddings._joinable_vector('embedding') }} as {{ embedding_column }},
    model_version as {{ version_column }}
  from {{ store }}
  where model_version = {{ tf_embeddings.embedding_version(model) }}
)

select
  tf_embeddings_rows.* exclude (tf_embeddings_hash),
  {{ tf_embeddings._joined_vector(embedding_column, dimensions) }} as {{ embedding_column }},
  {{ version_column }}
from tf_embeddings_rows
left join tf_embeddings_store
  on tf_embeddings_rows.tf_embeddings_hash = tf_embeddings_store.text_hash
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
