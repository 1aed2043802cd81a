{% macro nearest_neighbors(
  queries,
  corpus,
  query_id,
  corpus_id,
  k=10,
  query_embedding='embedding',
  corpus_embedding='embedding',
  query_text=none,
  query_version='model_version',
  corpus_version='model_version',
  model=none,
  filter=none,
  exclude_self=false,
  min_similarity=none
) %}
  {% set query_relation, corpus_relation = queries, corpus %}
  {% set queries = tf_embeddings._relation_argument(
    'nearest_neighbors', 'queries', queries
  ) %}
  {% set corpus = tf_embeddings._relation_argument(
    'nearest_neighbors', 'corpus', corpus
  ) %}
  {% set query_id = tf_embeddings._sql_argument(
    'nearest_neighbors', 'query_id', query_id
  ) %}
  {% set corpus_id = tf_embeddings._sql_argument(
    'nearest_neighbors', 'corpus_id', corpus_id
  ) %}
  {% set corpus_embedding = tf_embeddings._sql_argument(
    'nearest_neighbors', 'corpus_embedding', corpus_embedding
  ) %}
  {% if query_text is none %}
    {% set query_embedding = tf_embeddings._sql_argument(
      'nearest_neighbors', 'query_embedding', query_embedding
    ) %}
  {% else %}
    {% set query_text = tf_embeddings._sql_argument(
      'nearest_neighbors', 'query_text', query_text
    ) %}
    {# The texts are embedded now, with the pinned version. #}
    {% set query_version = tf_embeddings.embedding_version(model) %}
  {% endif %}
  {% if filter is not none %}
    {% set filter = tf_embeddings._sql_argument('nearest_neighbors', 'filter', filter) %}
  {% endif %}
  {% set k = tf_embeddings._number_argument(
    'nearest_neighbors', 'k', k, 1, none, 'the number of neighbors to find for each query',
    whole=true
  ) %}
  {% if min_similarity is not none %}
    {% set min_similarity = tf_embeddings._number_argument(
      'nearest_neighbors', 'min_similarity', min_similarity, -1, 1,
      'the least cosine similarity of a neighbor, such as 0.5'
    ) %}
  {% endif %}
  {% do tf_embeddings._boolean_argument(
    'nearest_neighbors', 'exclude_self', exclude_self,
    'true or false: whether a row of corpus with the id of the query is left out'
  ) %}
  {% if execute and (query_version is none) != (corpus_version is none) %}
    {% set argument = 'query_version' if query_version is none else 'corpus_version' %}
    {% do exceptions.raise_compiler_error(
      "nearest_neighbors: " ~ argument ~ " is none, but the other side has a version; vectors of "
      ~ "two versions cannot be compared. Name its column. If all its vectors are of the pinned "
      ~ "version, pass " ~ argument ~ "=tf_embeddings.embedding_version(); if neither side is of a "
      ~ "pinned model, pass none for both."
    ) %}
  {% endif %}

  {% set query_rows = {
    'relation': queries,
    'id': query_id,
    'embedding': query_embedding,
    'text': query_text,
    'condition': tf_embeddings._version_condition(
      'nearest_neighbors', 'query_version', query_version, model
    ),
  } %}
  {% set corpus_rows = {
    'relation': corpus,
    'id': corpus_id,
    'embedding': corpus_embedding,
    'condition': tf_embeddings._version_condition(
      'nearest_neighbors', 'corpus_version', corpus_version, model
    ),
  } %}
  {% if query_text is none %}
    {% do tf_embeddings._check_searched(
      'nearest_neighbors', 'queries', query_relation,
      {'query_embedding': query_embedding, 'query_version': query_version}, query_rows.condition
    ) %}
  {% endif %}
  {% do tf_embeddings._check_searched(
    'nearest_neighbors', 'corpus', corpus_relation,
    {'corpus_embedding': corpus_embedding, 'corpus_version': corpus_version}, corpus_rows.condition
  ) %}
  {{ return(tf_embeddings._nearest_neighbors(
    query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
  )) }}
{% endmacro %}
