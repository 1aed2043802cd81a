{% macro _check_searched(macro, argument, relation, columns, condition) %}
  {#
    That a search may find something in a table: a column that it lacks is an error, and no row of
    the pinned version a warning. `columns`: argument -> the column or expression that it names.
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
        ~ "the vectors: those of two versions do not compare" if of.endswith('version') else "")
        ~ "."
      ) %}
    {% endif %}
  {% endfor %}
  {% if condition is none %}
    {{ return('') }}
  {% endif %}

  {# A row without a version has no vector: nothing of another version is in it. #}
  {% set count = 'select count(*), count(case when ' ~ condition ~ ' then 1 end), '
    ~ 'count(case when not (' ~ condition ~ ') then 1 end) from ' %}
  {% set found = run_query(count ~ relation).rows[0] %}
  {% set rows, current, others = found[0] | int, found[1] | int, found[2] | int %}
  {% if rows and not current %}
    {% do exceptions.warn(
      macro ~ ": none of the " ~ rows ~ " rows of " ~ name ~ " has " ~ condition ~ ", the pinned "
      ~ "version, so " ~ model.name ~ " is empty. Build its vectors with the pinned model, and "
      ~ "what stands on them, with: dbt build --select +" ~ model.name
    ) %}
  {% elif others %}
    {% do log(
      macro ~ ": " ~ current ~ " of the " ~ rows ~ " rows of " ~ name ~ " have " ~ condition
      ~ ", the pinned version; the others take no part", info=true
    ) %}
  {% endif %}
{% endmacro %}
