{% macro _check_joined(relation, text, store, pin, columns) %}
  {#
    What with_embeddings joins on a table: that a column is there already is an error, that the
    store lacks texts of it a warning with their number, because a test of vectors skips NULLs. A
    store without any row of the version is for _require_stored to say.
  #}
  {% if not tf_embeddings._is_asked(relation) %}
    {{ return('') }}
  {% endif %}

  {% set known = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
  {% for argument, column in columns.items() if column | lower in known | map('lower') %}
    {% do exceptions.raise_compiler_error(
      "with_embeddings: " ~ relation.identifier ~ " has a column " ~ column ~ " already. Give the "
      ~ "one that is joined on another name, such as " ~ argument ~ "='text_" ~ column ~ "'."
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
      ~ "dbt build --select +" ~ model.name ~ ". If that was the command, name " ~ text ~ " of "
      ~ relation.identifier ~ " in the sources of the store, or, with var "
      ~ "tf_embeddings_max_new_texts, build it until no text remains."
    ) %}
  {% endif %}
{% endmacro %}
