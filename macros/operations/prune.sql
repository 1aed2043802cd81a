{% macro prune(store='embedding_store', what=['texts'], drop=false, allow_empty=false) %}
  {#
    An operation: dbt run-operation tf_embeddings.prune. It lists, and deletes in one statement.
    dbt-duckdb rolls an operation's transaction back at the end, hence commit(); on Snowflake each
    statement commits itself, and commit() does nothing.
  #}
  {% set what = [what] if what is string else what %}
  {% set known = ['texts', 'versions', 'failed'] %}
  {% if not tf_embeddings._is_list_of_strings(what) or not what
    or what | reject('in', known) | list %}
    {% do exceptions.raise_compiler_error(
      "prune: what is " ~ tf_embeddings._quoted(what)
      ~ "; it must be a list of any of " ~ known | join(', ')
      ~ ": texts that no source still has, versions that no pin names, texts that failed."
    ) %}
  {% endif %}
  {% do tf_embeddings._boolean_argument(
    'prune', 'drop', drop, 'true, to delete, or false, to list'
  ) %}
  {% do tf_embeddings._boolean_argument(
    'prune', 'allow_empty', allow_empty,
    'true, to delete the rows of sources without texts, or false, to delete nothing if there is '
    ~ 'such a source'
  ) %}
  {% set pins = tf_embeddings._pins('prune') %}
  {% if 'versions' in what and not pins %}
    {% do exceptions.raise_compiler_error(
      "prune: var tf_embeddings_models has no models, so every version would be deleted. Run it in "
      ~ "the project that pins the models in use."
    ) %}
  {% endif %}
  {% set store = tf_embeddings._named_store(store, 'prune', reads_sources='texts' in what) %}
  {% if not store.table %}
    {% do print("Store '" ~ store.name ~ "' is not built yet; there is nothing to prune.") %}
    {{ return('') }}
  {% endif %}
  {% set texts = none %}
  {% if 'texts' in what %}
    {% set texts = tf_embeddings._kept_texts(store, allow_empty=allow_empty or not drop) %}
  {% endif %}
  {% set prunable = tf_embeddings._prunable(store.table, what, texts, pins) %}

  {% set count %}
select
  pruned_model,
  pruned_version,
  why,
  count(*) as pruned
from (
  {{ prunable }}
) as prunable
group by pruned_model, pruned_version, why
order by pruned_model, pruned_version, why
  {% endset %}
  {% set rows = tf_embeddings._rows(count) %}
  {% if not rows %}
    {% do print("Nothing to prune in '" ~ store.name ~ "'.") %}
    {{ return('') }}
  {% endif %}
  {% set lines = [] %}
  {% for row in rows %}
    {% do lines.append([row.pruned_model, row.pruned_version, row.pruned | string, row.why]) %}
  {% endfor %}
  {% do tf_embeddings._table(['model', 'version', 'rows', 'why'], lines) %}
  {% if not drop %}
    {% do print(
      "Nothing was deleted. Check that the sources of this target are complete and that its pins "
      ~ "are those in use; then delete with --args '{drop: true}'."
    ) %}
    {{ return('') }}
  {% endif %}

  {% set delete %}
delete from {{ store.table }}
using (
  {{ prunable }}
) as prunable
where text_hash = prunable.pruned_hash and model_version = prunable.pruned_version
  {% endset %}
  {% call statement('tf_embeddings_prune', fetch_result=true, auto_begin=true) %}
    {{- delete -}}
  {% endcall %}
  {% do adapter.commit() %}
  {# dbt-duckdb returns the number of rows only as the result of the statement. #}
  {% set result = load_result('tf_embeddings_prune') %}
  {% set deleted = result.response.rows_affected %}
  {% set deleted = result.table.rows[0][0] if deleted is none else deleted %}
  {% do print("Deleted " ~ deleted ~ " rows of '" ~ store.name ~ "'.") %}
{% endmacro %}

{% macro _kept_texts(store, allow_empty) %}
  {#
    A query of the hashes that the sources of a store have, for prune. An empty source looks like an
    upstream failure, so it is an error, or a line of output with allow_empty. It is always an error
    if all sources are empty.
  #}
  {% set filled = [] %}
  {% set empty = [] %}
  {% for source in store.sources %}
    {% set texts = tf_embeddings._store_texts([source]) %}
    {% set found = run_query(
      'select text from (' ~ texts ~ ') as texts where text is not null limit 1'
    ).rows %}
    {% if found %}
      {% do filled.append(source) %}
    {% else %}
      {% set condition = ' where ' ~ source.where if source.where else '' %}
      {% do empty.append(tf_embeddings._source_relation(source) ~ condition) %}
    {% endif %}
  {% endfor %}
  {% if not filled %}
    {% do exceptions.raise_compiler_error(
      "prune: none of the sources of store '" ~ store.name ~ "' holds a text, so all its rows "
      ~ "would be deleted. Build the sources first."
    ) %}
  {% endif %}
  {% for relation in empty %}
    {% if not allow_empty %}
      {% do exceptions.raise_compiler_error(
        "prune: source " ~ relation ~ " of store '" ~ store.name ~ "' has no texts, so all that "
        ~ "came from it would be deleted. Build it first or, if it should be empty, add "
        ~ "allow_empty: true to --args."
      ) %}
    {% endif %}
    {% do print('Source ' ~ relation ~ ' has no texts.') %}
  {% endfor %}

  {% set sql %}
select distinct {{ tf_embeddings.text_hash('text') }} as text_hash
from (
  {{ tf_embeddings._store_texts(store.sources) }}
) as texts
where text is not null
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _prunable(table, what, texts, pins) %}
  {#
    A query of the rows of a store that prune deletes, each with the first reason that applies;
    `texts` is the query of the hashes that the sources have.
  #}
  {% set versions = ["''"] %}
  {% for pin in pins %}
    {% do versions.append("'" ~ pin.version ~ "'") %}
  {% endfor %}
  {% set reasons = {
    'texts': ["kept.text_hash is null", "no source has the text"],
    'versions': [
      "stored.model_version not in (" ~ versions | join(", ") ~ ")", "no pin names the version"
    ],
    'failed': ["stored.status = 'error'", "the model failed on the text"],
  } %}
  {% set sql %}
select
  stored.text_hash as pruned_hash,
  stored.model_version as pruned_version,
  stored.model as pruned_model,
  case
    {%- for name in what %}
    when {{ reasons[name][0] }} then '{{ reasons[name][1] }}'
    {%- endfor %}
  end as why
from {{ table }} as stored
  {%- if 'texts' in what %}
left join (
  {{ texts }}
) as kept
  on stored.text_hash = kept.text_hash
  {%- endif %}
where
  {%- for name in what %}
  {{ 'or ' if not loop.first }}{{ reasons[name][0] }}
  {%- endfor %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
