{% macro compare_versions(
  model,
  other,
  store='embedding_store',
  other_store=none,
  k=10,
  sample=200
) %}
  {#
    An operation: dbt run-operation tf_embeddings.compare_versions. It only reads. Vectors of two
    models or versions cannot be compared, but their neighborhoods can: how many of a text's nearest
    neighbors are the same by both.
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
      ~ "'. Name two versions, or a different store in other_store."
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

{% macro _stored_version(model, argument, store) %}
  {#
    One side of compare_versions, as a map: name, in words; version; store and table, its name and
    its relation; texts, how many have a vector there; and has_text. `model` may be a version too,
    because an older version of a model no longer has a pin.
  #}
  {% if model is string and modules.re.fullmatch('v[0-9a-f]{12}', model)
    and model not in tf_embeddings._settings().models %}
    {% set version, name = model, 'version ' ~ model %}
  {% else %}
    {% if not model %}
      {% do exceptions.raise_compiler_error(
        "compare_versions: " ~ argument ~ " is " ~ tf_embeddings._quoted(model)
        ~ "; it must be the name of a "
        ~ "model in var tf_embeddings_models, or a version in a store, 'v' and 12 hex digits."
      ) %}
    {% endif %}
    {% set pin = tf_embeddings._pin(model, 'compare_versions') %}
    {% set version, name = pin.version, pin.model ~ ' ' ~ pin.version %}
  {% endif %}

  {% set found = tf_embeddings._named_store(store, 'compare_versions', reads_sources=false) %}
  {% if not found.table %}
    {% do exceptions.raise_compiler_error(
      "compare_versions: store '" ~ found.name ~ "' is not built yet. Build it with: dbt run "
      ~ "--select " ~ found.name
    ) %}
  {% endif %}
  {% set count = 'select count(*) from ' ~ found.table ~ " where model_version = '" ~ version
    ~ "' and embedding is not null" %}
  {% set columns = adapter.get_columns_in_relation(found.table) | map(attribute='name') %}
  {{ return({
    'name': name,
    'version': version,
    'store': found.name,
    'table': found.table,
    'texts': run_query(count).rows[0][0],
    'has_text': 'text' in columns | map('lower') | list,
  }) }}
{% endmacro %}

{% macro _agreement(one, another, k, sample) %}
  {#
    A query of the five texts on which two sides, as of _stored_version, agree least; each row has
    the totals of all texts that were compared. Only the hashes of the common texts are held; the
    vectors stream by. A text has fewer than k neighbors if the store has few.
  #}
  {% set sides = {'one': one, 'another': another} %}
  {% set sql %}
with tf_embeddings_both as (
  select one.text_hash
  from {{ one.table }} as one
  inner join {{ another.table }} as another
    on one.text_hash = another.text_hash
  where
    one.model_version = '{{ one.version }}'
    and another.model_version = '{{ another.version }}'
    and one.embedding is not null
    and another.embedding is not null
),

tf_embeddings_compared as (
  select text_hash
  from tf_embeddings_both
  order by text_hash
  limit {{ sample }}
),

  {% for name, side in sides.items() %}
    {% set vectors = [] %}
    {% for wanted in ['tf_embeddings_compared', 'tf_embeddings_both'] %}
      {% set query %}
select
  stored.text_hash,
  stored.embedding
from {{ side.table }} as stored
inner join {{ wanted }} as wanted
  on stored.text_hash = wanted.text_hash
where stored.model_version = '{{ side.version }}'
      {% endset %}
      {% do vectors.append(query) %}
    {% endfor %}
tf_embeddings_{{ name }} as (
  {{ tf_embeddings.nearest_neighbors(
    queries=vectors[0],
    corpus=vectors[1],
    query_id='text_hash',
    corpus_id='text_hash',
    k=k,
    query_version=none,
    corpus_version=none,
    exclude_self=true,
  ) }}
),

  {% endfor %}
tf_embeddings_agreement as (
  select
    one.query_id as text_hash,
    cast(count(another.neighbor_id) as double) / count(*) as recall,
    max(cast(
      case when one.neighbor_rank = 1 and another.neighbor_rank = 1 then 1 else 0 end as double
    )) as is_same_nearest
  from tf_embeddings_one as one
  left join tf_embeddings_another as another
    on one.query_id = another.query_id
    and one.neighbor_id = another.neighbor_id
  group by one.query_id
),

tf_embeddings_totals as (
  select
    (select count(*) from tf_embeddings_both) as texts,
    count(*) as compared,
    avg(recall) as mean_recall,
    avg(is_same_nearest) as same_nearest
  from tf_embeddings_agreement
),

tf_embeddings_least as (
  select
    text_hash,
    recall
  from tf_embeddings_agreement
  order by recall asc, text_hash asc
  limit 5
)

select
  least_alike.text_hash,
  least_alike.recall,
  {% set texts = [] %}
  {% for name, side in sides.items() if side.has_text %}
    {% do texts.append(name ~ '.text') %}
  {% endfor %}
  {{ 'coalesce(' ~ (texts + ['null']) | join(', ') ~ ')' if texts else 'null' }} as text,
  totals.*
from tf_embeddings_least as least_alike
cross join tf_embeddings_totals as totals
  {% for name, side in sides.items() if side.has_text %}
left join {{ side.table }} as {{ name }}
  on least_alike.text_hash = {{ name }}.text_hash
  and {{ name }}.model_version = '{{ side.version }}'
  {% endfor %}
order by least_alike.recall asc, least_alike.text_hash asc
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
