{% macro _store_texts(sources) %}
  {#
    A query of the texts of all sources with their hashes, as text_hash and text. Each relation is
    scanned once, whatever the number of its columns.
  #}
  {% set scans = [] %}
  {% for source in sources %}
    {% set relation = tf_embeddings._source_relation(source) %}
    {% set columns = source.columns | unique | list %}
    {% set scan %}
      {%- if columns | length == 1 %}
  select cast({{ columns[0] }} as varchar) as text
  from {{ relation }}
      {%- else %}
  select
    case tf_embeddings_columns.number
        {%- for column in columns %}
      when {{ loop.index }} then cast({{ column }} as varchar)
        {%- endfor %}
    end as text
  from {{ relation }}
  cross join (
        {%- for column in columns %}
    select {{ loop.index }} as number
          {%- if not loop.last %}
    union all
          {%- endif %}
        {%- endfor %}
  ) as tf_embeddings_columns
      {%- endif %}
    {% endset %}
    {% do scans.append(scan.strip('\n')) %}
  {% endfor %}
  {{ return(scans | join('\n  union all\n')) }}
{% endmacro %}
