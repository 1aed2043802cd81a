{% macro _kept_texts(store, allow_empty) %}
  {#
    A query of the hashes that the sources of a store have, for prune. An empty source looks like an
    upstream failure: it is said where that is allowed, and fails elsewhere, as where all are empty.
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
        "prune: source " ~ relation ~ " of store '" ~ store.name ~ "' has no texts, and all that "
        ~ "came from it would be deleted. Build it first, or, where it is to be empty, add "
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
