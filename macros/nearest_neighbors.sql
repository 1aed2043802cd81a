{% macro nearest_neighbors(
  queries,
  corpus,
  query_id,
  corpus_id,
  k=10,
  query_embedding='embedding',
  corpus_embedding='embedding'
) %}
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
  {% set query_embedding = tf_embeddings._sql_argument(
    'nearest_neighbors', 'query_embedding', query_embedding
  ) %}
  {% set corpus_embedding = tf_embeddings._sql_argument(
    'nearest_neighbors', 'corpus_embedding', corpus_embedding
  ) %}
  {% if execute and (k is not integer or k < 1) %}
    {% do exceptions.raise_compiler_error(
      "nearest_neighbors: k is " ~ k | pprint ~ "; it must be a whole number from 1, the number of "
      ~ "neighbors to find for each query."
    ) %}
  {% endif %}

  {{ return(adapter.dispatch('nearest_neighbors', 'tf_embeddings')(
    queries, corpus, query_id, corpus_id, k, query_embedding, corpus_embedding
  )) }}
{% endmacro %}

{% macro default__nearest_neighbors(
  queries, corpus, query_id, corpus_id, k, query_embedding, corpus_embedding
) %}
  {{ return(tf_embeddings._unsupported('nearest_neighbors')) }}
{% endmacro %}
