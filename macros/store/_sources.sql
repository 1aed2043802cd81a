{% macro _store_sources(sources, macro) %}
  {#
    The sources of a store, checked, as a list of maps, one for each relation and condition: kind
    (ref, source or relation); name, as it was written; where, or none; and columns, from all
    entries with this relation and condition.
  #}
  {% set allowed = "; it must be a map, or a list of maps, of ref, source or relation, and column "
    ~ "or columns, such as {'ref': 'tickets', 'column': 'body'}, and optionally where, a "
    ~ "condition on its rows." %}
  {% set entries = [sources] if sources is mapping else sources %}
  {% if entries is string or entries is not sequence or not entries %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": sources is " ~ tf_embeddings._quoted(sources) ~ allowed
    ) %}
  {% endif %}

  {% set found = {} %}
  {% for entry in entries %}
    {% set said = macro ~ ": sources has " ~ tf_embeddings._quoted(entry) %}
    {% if entry is not mapping %}
      {% do exceptions.raise_compiler_error(said ~ allowed) %}
    {% endif %}
    {% set kinds = ['ref', 'source', 'relation'] | select('in', entry) | list %}
    {% set lists = ['column', 'columns'] | select('in', entry) | list %}
    {% set keys = 3 if 'where' in entry else 2 %}
    {% if kinds | length != 1 or lists | length != 1 or entry | length != keys %}
      {% do exceptions.raise_compiler_error(said ~ allowed) %}
    {% endif %}
    {% set kind, name, columns = kinds[0], entry[kinds[0]], entry[lists[0]] %}
    {% set columns = [columns] if lists[0] == 'column' else columns %}
    {% set is_pair = tf_embeddings._is_list_of_strings(name) and name | length == 2 %}
    {% set is_name = is_pair or (kind == 'ref' and name is string) or kind == 'relation' %}
    {% if not name or not is_name %}
      {% do exceptions.raise_compiler_error(
        said ~ "; ref must be a model's name, or its package and its name, source a pair of source "
        ~ "and table."
      ) %}
    {% endif %}
    {% if not columns or not tf_embeddings._is_list_of_strings(columns) %}
      {% do exceptions.raise_compiler_error(
        said ~ "; column must be a column or a SQL expression in quotes, columns a list of them."
      ) %}
    {% endif %}
    {% set where = entry.get('where') %}
    {% if 'where' in entry and (where is not string or not where | trim) %}
      {% do exceptions.raise_compiler_error(
        said ~ "; where must be a SQL condition in quotes, such as \"language = 'en'\"."
      ) %}
    {% endif %}
    {% set one = {'kind': kind, 'name': name, 'where': where, 'columns': []} %}
    {% set one = found.setdefault(kind ~ ' ' ~ name ~ ' ' ~ (where or ''), one) %}
    {% do one.columns.extend(columns) %}
  {% endfor %}
  {{ return(found.values() | list) }}
{% endmacro %}

{% macro _declared_sources(sources) %}
  {#
    The sources of a store as its meta holds them, for the operations. A relation that is passed as
    an object becomes none: at parse time ref() returns the model that calls it.
  #}
  {% set declared = [] %}
  {% set entries = [sources] if sources is mapping else sources %}
  {% for entry in (entries if entries is sequence and entries is not string else [])
    if entry is mapping %}
    {% set relation = entry.get('relation') %}
    {% do declared.append(
      dict(entry, relation=none) if relation is not none and relation is not string else entry
    ) %}
  {% endfor %}
  {{ return(declared) }}
{% endmacro %}

{% macro _source_relation(source) %}
  {#
    The relation of a source of a store; ref() and source() make the edge of dbt's graph. A name
    without a package is a model of the user's project, in the package's own store too, where dbt
    would warn otherwise.
  #}
  {% if source.kind == 'relation' %}
    {{ return(tf_embeddings._relation_argument('embedding_store', 'relation', source.name)) }}
  {% endif %}
  {% if source.kind == 'source' %}
    {{ return(builtins.source(source.name[0], source.name[1])) }}
  {% endif %}
  {% if source.name is not string %}
    {{ return(ref(source.name[0], source.name[1])) }}
  {% endif %}
  {% if model is defined and model.package_name == 'tf_embeddings' %}
    {{ return(ref(project_name, source.name)) }}
  {% endif %}
  {{ return(ref(source.name)) }}
{% endmacro %}

{% macro _store_texts(sources) %}
  {#
    A query of the texts of all sources. Each relation is scanned once for each condition, however
    many columns it has.
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
