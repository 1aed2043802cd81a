{% macro _search_rows(rows, keep_columns=false) %}
  {#
    A query of the rows that take part in a search: tf_embeddings_id, tf_embeddings_vector and, if
    there is a block, tf_embeddings_block. With keep_columns, all columns of the relation too, for
    a filter to name.
  #}
  {% set sql %}
  select
    {%- if keep_columns %}
    *,
    {%- endif %}
    {{ rows.id }} as tf_embeddings_id,
    {{ rows.embedding }} as tf_embeddings_vector
    {%- if rows.block %},
    {{ rows.block }} as tf_embeddings_block
    {%- endif %}
  from {{ rows.relation }}
    {%- if rows.condition %}
  where {{ rows.condition }}
    {%- endif %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _search_queries(name, rows, model, keep_columns) %}
  {#
    The CTE `name` with the queries, as _search_rows gives rows. For queries by text, each distinct
    text is embedded once and joined by its hash, which no collation folds. Nothing filters on the
    new vectors: a warehouse may compute them again for a filter.
  #}
  {% set sql %}
  {% if rows.text is none %}
{{ name }} as (
  {{ tf_embeddings._search_rows(rows, keep_columns) }}
)
  {% else %}
tf_embeddings_questions as (
  select
    {%- if keep_columns %}
    *,
    {%- endif %}
    {{ rows.id }} as tf_embeddings_id,
    {{ rows.text }} as tf_embeddings_text,
    {{ tf_embeddings.text_hash(rows.text) }} as tf_embeddings_hash
  from {{ rows.relation }}
),

tf_embeddings_texts as (
  select
    tf_embeddings_hash,
    any_value(tf_embeddings_text) as tf_embeddings_text
  from tf_embeddings_questions
  group by tf_embeddings_hash
),

tf_embeddings_embedded as (
  select
    tf_embeddings_hash,
    {{ tf_embeddings.embed('tf_embeddings_text', model) }} as tf_embeddings_vector
  from tf_embeddings_texts
),

{{ name }} as (
  select
    tf_embeddings_questions.*,
    tf_embeddings_embedded.tf_embeddings_vector
  from tf_embeddings_questions
  inner join tf_embeddings_embedded
    on tf_embeddings_questions.tf_embeddings_hash = tf_embeddings_embedded.tf_embeddings_hash
)
  {% endif %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _version_condition(macro, argument, version, model=none) %}
  {#
    The SQL condition that a row's version is the pinned one, so that vectors of two versions never
    meet. None if there is nothing to compare: no version, or the pinned one as a literal, from
    embedding_version.
  #}
  {% if version is none or not execute %}
    {% do tf_embeddings._mark(model, embeds=false) if version is not none %}
    {{ return(none) }}
  {% endif %}
  {% set version = tf_embeddings._sql_argument(macro, argument, version) %}
  {% set pin = tf_embeddings._pin(model, macro) %}
  {% set pinned = "'" ~ pin.version ~ "'" %}
  {% if version == pinned %}
    {{ return(none) }}
  {% endif %}
  {% if modules.re.fullmatch("'[^']*'", version) %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ version ~ ", but model '" ~ pin.model ~ "' is pinned at "
      ~ pinned ~ "; vectors of two versions cannot be compared. Pass the model of that version, as "
      ~ "model='…', or the column that holds each row's version."
    ) %}
  {% endif %}
  {{ return(version ~ ' = ' ~ pinned) }}
{% endmacro %}

{% macro _check_searched(macro, argument, relation, columns, condition) %}
  {#
    Checks that a search can find something in a table: a missing column is an error, no row of the
    pinned version a warning. `columns`: argument -> the column or expression that it names.
  #}
  {% if not tf_embeddings._is_asked(relation) %}
    {{ return('') }}
  {% endif %}

  {% set name = argument ~ ' ' ~ relation.identifier %}
  {% set known = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
  {% set lower = known | map('lower') | list %}
  {% for of, column in columns.items() if known and column is not none %}
    {% if modules.re.match('[A-Za-z_][A-Za-z0-9_$]*$', column) and column | lower not in lower %}
      {% do exceptions.raise_compiler_error(
        macro ~ ": " ~ name ~ " has no column " ~ column ~ " (it has: " ~ known | join(', ')
        ~ "). Name the column in " ~ of ~ "='…'"
        ~ (", or select {{ tf_embeddings.embedding_version() }} as " ~ column ~ " there, beside "
        ~ "the vectors: vectors of two versions cannot be compared" if of.endswith('version')
        else "")
        ~ "."
      ) %}
    {% endif %}
  {% endfor %}
  {% if condition is none %}
    {{ return('') }}
  {% endif %}

  {# A row without a version has no vector, so it counts neither as current nor as other. #}
  {% set count = 'select count(*), count(case when ' ~ condition ~ ' then 1 end), '
    ~ 'count(case when not (' ~ condition ~ ') then 1 end) from ' %}
  {% set found = run_query(count ~ relation).rows[0] %}
  {% set rows, current, others = found[0] | int, found[1] | int, found[2] | int %}
  {% if rows and not current %}
    {% do exceptions.warn(
      macro ~ ": none of the " ~ rows ~ " rows of " ~ name ~ " has " ~ condition ~ ", the pinned "
      ~ "version, so " ~ model.name ~ " is empty. Build its vectors and this model with: dbt build "
      ~ "--select +" ~ model.name
    ) %}
  {% elif others %}
    {% do log(
      macro ~ ": " ~ current ~ " of the " ~ rows ~ " rows of " ~ name ~ " have " ~ condition
      ~ ", the pinned version; the others are ignored", info=true
    ) %}
  {% endif %}
{% endmacro %}
