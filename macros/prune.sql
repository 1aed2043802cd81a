{% macro prune(store='embedding_store', what=['texts'], drop=false, allow_empty=false) %}
  {#
    An operation: dbt run-operation tf_embeddings.prune. It lists, and deletes in one statement.
    dbt-duckdb leaves an operation's transaction open, and at its end rolls it back; dbt-snowflake
    has none, each statement commits itself, and commit() does nothing.
  #}
  {% set what = [what] if what is string else what %}
  {% set known = ['texts', 'versions', 'failed'] %}
  {% if not tf_embeddings._is_list_of_strings(what) or not what
    or what | reject('in', known) | list %}
    {% do exceptions.raise_compiler_error(
      "prune: what is " ~ what | pprint ~ "; it must be a list of any of " ~ known | join(', ')
      ~ ": texts that no source has any more, versions that no pin names, texts that failed."
    ) %}
  {% endif %}
  {% do tf_embeddings._boolean_argument(
    'prune', 'drop', drop, 'true, to delete, or false, to list'
  ) %}
  {% do tf_embeddings._boolean_argument(
    'prune', 'allow_empty', allow_empty,
    'true, to delete the rows of sources without texts, or false, to delete nothing where there is '
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
      "Nothing was deleted. Look whether the sources of this target are complete, and its pins "
      ~ "those in use; then delete with --args '{drop: true}'."
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
  {# dbt-duckdb tells the number of rows as the result of the statement alone. #}
  {% set result = load_result('tf_embeddings_prune') %}
  {% set deleted = result.response.rows_affected %}
  {% set deleted = result.table.rows[0][0] if deleted is none else deleted %}
  {% do print("Deleted " ~ deleted ~ " rows of '" ~ store.name ~ "'.") %}
{% endmacro %}
