{% macro _store_texts(sources) %}
  {#
    A query of the texts of all sources, as text. Each relation is scanned once for each condition,
    whatever the number of its columns.
    https://docs.snowflake.com/en/sql-reference/constructs/unpivot
    https://duckdb.org/docs/stable/sql/statements/unpivot
  #}
  {% set scans = [] %}
  {% for source in sources %}
    {% set relation = tf_embeddings._source_relation(source) %}
    {% set columns = source.columns | unique(case_sensitive=true) | list %}
    {% set names = [] %}
    {% set scan %}
      {%- if columns | length == 1 %}
  select cast({{ columns[0] }} as varchar) as text
  from {{ relation }}
        {%- if source.where %}
  where {{ source.where }}
        {%- endif %}
      {%- else %}
  select tf_embeddings_text as text
  from (
    select
        {%- for column in columns %}
      cast({{ column }} as varchar) as tf_embeddings_{{ loop.index }}
          {%- if not loop.last %},{% endif %}
          {%- do names.append('tf_embeddings_' ~ loop.index) %}
        {%- endfor %}
    from {{ relation }}
        {%- if source.where %}
    where {{ source.where }}
        {%- endif %}
  )
  unpivot (tf_embeddings_text for tf_embeddings_column in ({{ names | join(', ') }}))
      {%- endif %}
    {% endset %}
    {% do scans.append(scan.strip('\n')) %}
  {% endfor %}
  {{ return(scans | join('\n  union all\n')) }}
{% endmacro %}
