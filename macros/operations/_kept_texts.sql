{% macro _kept_texts(store) %}
  {#
    A query of the hashes that the sources of a store have, for prune. Says which sources are empty,
    since an upstream failure looks like that, and fails where all are.
  #}
  {% set filled = [] %}
  {% for source in store.sources %}
    {% set texts = tf_embeddings._store_texts([source]) %}
    {% set found = run_query(
      'select text from (' ~ texts ~ ') as texts where text is not null limit 1'
    ).rows %}
    {% if found %}
      {% do filled.append(source) %}
    {% else %}
      {% do print('Source ' ~ tf_embeddings._source_relation(source) ~ ' has no texts.') %}
    {% endif %}
  {% endfor %}
  {% if not filled %}
    {% do exceptions.raise_compiler_error(
      "prune: none of the sources of store '" ~ store.name ~ "' holds a text, so all its rows "
      ~ "would be deleted. Build the sources first."
    ) %}
  {% endif %}

  {% set sql %}
select distinct {{ tf_embeddings.text_hash('text') }} as text_hash
from (
  {{ tf_embeddings._store_texts(store.sources) }}
) as texts
where text is not null
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
