{% macro near_duplicates(
  relation,
  id,
  threshold=0.95,
  embedding='embedding',
  version='model_version',
  block=none,
  model=none
) %}
  {% set searched = relation %}
  {% set relation = tf_embeddings._relation_argument('near_duplicates', 'relation', relation) %}
  {% set id = tf_embeddings._sql_argument('near_duplicates', 'id', id) %}
  {% set embedding = tf_embeddings._sql_argument('near_duplicates', 'embedding', embedding) %}
  {% if block is not none %}
    {% set block = tf_embeddings._sql_argument('near_duplicates', 'block', block) %}
  {% endif %}
  {% set threshold = tf_embeddings._number_argument(
    'near_duplicates', 'threshold', threshold, -1, 1,
    'the least cosine similarity of a pair, such as 0.95'
  ) %}

  {% set rows = {
    'relation': relation,
    'id': id,
    'embedding': embedding,
    'block': block,
    'condition': tf_embeddings._version_condition('near_duplicates', 'version', version, model),
  } %}
  {% do tf_embeddings._check_searched(
    'near_duplicates', 'relation', searched, {'embedding': embedding, 'version': version},
    rows.condition
  ) %}
  {{ return(tf_embeddings._near_duplicates(rows, threshold)) }}
{% endmacro %}
