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
        "with_embeddings: " ~ argument ~ " is " ~ tf_embeddings._quoted(name)
        ~ "; it must be the name of a "
        ~ "column that the relation does not have yet, such as 'title_embedding'."
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
  {# Names without a table: if the relation has such a column already, they are ambiguous. #}
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

{% macro _require_stored(store, pin) %}
  {#
    Checks that the store has something to join. A store that is not built is an error. One without
    a row of the version is a warning: every vector would be NULL, and tests of vectors skip NULLs.
    Only a run is checked; a unit test and a CTE have no relation to query. With --empty all is
    empty; with --sample the whole store counts.
  #}
  {% set is_run = tf_embeddings._is_run() and model.resource_type == 'model' %}
  {% if not is_run or store is string or store.is_cte %}
    {{ return('') }}
  {% endif %}
  {% set stored = load_relation(store) %}
  {% if not stored %}
    {% do exceptions.raise_compiler_error(
      "with_embeddings: the store " ~ store ~ " is not built yet. Build it and this model with: "
      ~ "dbt build --select +" ~ model.name
    ) %}
  {% endif %}
  {% if flags.EMPTY %}
    {{ return('') }}
  {% endif %}
  {# dbt v2 also renders a model without a connection: even a count has no row then. #}
  {% set one = 'select 1 from ' ~ stored ~ " where model_version = '" ~ pin.version ~ "' limit 1" %}
  {% set count = run_query('select count(*) from (' ~ one ~ ') as tf_embeddings_stored').rows %}
  {% if count and not count[0][0] %}
    {% do exceptions.warn(
      "with_embeddings: " ~ store ~ " has no row of model '" ~ pin.model ~ "', version "
      ~ pin.version ~ ", so " ~ model.name ~ " has no vectors. Build both with: dbt build "
      ~ "--select +" ~ model.name
    ) %}
  {% endif %}
{% endmacro %}

{% macro _check_joined(relation, text, store, pin, columns) %}
  {#
    Checks what is joined onto a table. A column that is there already is an error. Texts that the
    store lacks are a warning with their number, because tests of vectors skip NULLs;
    _require_stored warns if the store has no row of the version at all.
  #}
  {% if not tf_embeddings._is_asked(relation) %}
    {{ return('') }}
  {% endif %}

  {% set known = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
  {% for argument, column in columns.items() if column | lower in known | map('lower') %}
    {% do exceptions.raise_compiler_error(
      "with_embeddings: " ~ relation.identifier ~ " already has a column " ~ column ~ ". Give the "
      ~ "joined one a different name, such as " ~ argument ~ "='text_" ~ column ~ "'."
    ) %}
  {% endfor %}
  {% if store is string or not store.identifier or store.is_cte %}
    {{ return('') }}
  {% endif %}

  {% set of_version = store ~ " where model_version = '" ~ pin.version ~ "'" %}
  {% set count %}
select
  count(*) as texts,
  count(case when stored.text_hash is null then 1 end) as missing
from (
  select {{ tf_embeddings.text_hash(text) }} as text_hash
  from {{ relation }}
  where {{ text }} is not null
) as tf_embeddings_texts
left join (select text_hash from {{ of_version }}) as stored
  on tf_embeddings_texts.text_hash = stored.text_hash
  {% endset %}
  {% set found = run_query(count).rows[0] %}
  {% if found[1] | int and run_query('select 1 from ' ~ of_version ~ ' limit 1').rows %}
    {% do exceptions.warn(
      "with_embeddings: " ~ store.identifier ~ " has no row of model '" ~ pin.model ~ "' for the "
      ~ "texts of " ~ found[1] | int ~ " rows of " ~ relation.identifier ~ ", of " ~ found[0] | int
      ~ " with a text, so they get no vector in " ~ model.name ~ ". Build both with: "
      ~ "dbt build --select +" ~ model.name ~ ". If you just did, add " ~ text ~ " of "
      ~ relation.identifier ~ " to the sources of the store or, with var "
      ~ "tf_embeddings_max_new_texts, build until no text remains."
    ) %}
  {% endif %}
{% endmacro %}
