{% macro compare_versions(
  model,
  other,
  store='embedding_store',
  other_store=none,
  k=10,
  sample=200
) %}
  {#
    An operation: dbt run-operation tf_embeddings.compare_versions. It only reads. How many of the
    nearest neighbors of a text are the same by the vectors of another model, or of another version
    of one: those of two versions do not compare, but what is near does.
  #}
  {% set k = tf_embeddings._number_argument(
    'compare_versions', 'k', k, 1, none, 'the number of neighbors of a text', whole=true
  ) %}
  {% set sample = tf_embeddings._number_argument(
    'compare_versions', 'sample', sample, 1, none, 'the number of texts to compare', whole=true
  ) %}
  {% set one = tf_embeddings._stored_version(model, 'model', store) %}
  {% set another = tf_embeddings._stored_version(
    other, 'other', store if other_store is none else other_store
  ) %}
  {% if [one.version, one.store] == [another.version, another.store] %}
    {% do exceptions.raise_compiler_error(
      "compare_versions: model and other are both version " ~ one.version ~ " in '" ~ one.store
      ~ "'. Name two versions, or another store in other_store."
    ) %}
  {% endif %}

  {% set rows = tf_embeddings._rows(tf_embeddings._agreement(one, another, k, sample)) %}
  {% if not rows %}
    {% do exceptions.raise_compiler_error(
      "compare_versions: fewer than two texts have a vector of both " ~ one.name ~ " ("
      ~ one.texts ~ " texts in '" ~ one.store ~ "') and " ~ another.name ~ " (" ~ another.texts
      ~ " texts in '" ~ another.store ~ "'). Build both versions of the same texts first."
    ) %}
  {% endif %}

  {% set total = rows[0] %}
  {% for side in [one, another] %}
    {% do print(side.name ~ ": " ~ side.texts ~ " texts in '" ~ side.store ~ "'") %}
  {% endfor %}
  {% do print("In both: " ~ total.texts ~ " texts, " ~ total.compared ~ " of them compared.") %}
  {% do print("Mean recall@" ~ k ~ " of their nearest neighbors: "
    ~ '%.3f' | format(total.mean_recall)) %}
  {% do print("Texts whose nearest neighbor is the same: "
    ~ '%.1f' | format(100 * total.same_nearest) ~ ' %') %}
  {% do print("The texts with the lowest recall:") %}
  {% set lines = [] %}
  {% for row in rows %}
    {% set text = (row.text or '').split() | join(' ') | truncate(80, true, '…', 0) %}
    {% do lines.append(['%.3f' | format(row.recall), row.text_hash, text]) %}
  {% endfor %}
  {% do tf_embeddings._table(['recall@' ~ k, 'text_hash', 'text'], lines) %}
{% endmacro %}
