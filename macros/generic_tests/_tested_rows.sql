{% macro _tested_vectors(macro, model, column_name, id, argument='id') %}
  {# A query of the vectors that a generic test looks at, each with its id as text. #}
  {% set id = tf_embeddings._sql_argument(macro, argument, id) %}
  {{ return(
    'select cast(' ~ id ~ ' as varchar) as id, ' ~ column_name ~ ' as embedding from ' ~ model
  ) }}
{% endmacro %}

{% macro _judged_ids(macro, argument, judged, columns) %}
  {#
    A query of judged ids, from a list of lists of ids or from a relation with these columns; as
    text, so that ids written in YAML match those of any column. An empty relation gives one row of
    NULLs: a test that compares nothing must fail. With --empty or --sample, only the ids that
    tf_embeddings_tested has, and no such row.
  #}
  {% set selects = [] %}
  {% if judged is sequence and judged is not string and judged is not mapping %}
    {% for ids in judged %}
      {% set values = [] %}
      {% for id in (ids if ids is sequence and ids is not string else []) %}
        {% if id is string or (id is number and id is not boolean) %}
          {% do values.append(
            'cast(' ~ tf_embeddings._text_literal(id | string) ~ ' as varchar) as '
            ~ columns[loop.index0]
          ) %}
        {% endif %}
      {% endfor %}
      {% if execute and (values | length != columns | length or ids | length != values | length) %}
        {% do exceptions.raise_compiler_error(
          macro ~ ": " ~ argument ~ " has " ~ tf_embeddings._quoted(ids)
          ~ "; each of its entries must be a list "
          ~ "of " ~ columns | length ~ " ids, [" ~ columns | join(', ') ~ "], texts or numbers. Or "
          ~ "give a relation with the columns " ~ columns | join(', ') ~ ", such as ref('judged')."
        ) %}
      {% endif %}
      {% do selects.append('select ' ~ values | join(', ')) %}
    {% endfor %}
  {% endif %}
  {% set are_there = [] %}
  {% for column in columns if tf_embeddings._is_partial_run() %}
    {% do are_there.append('judged_ids.' ~ column ~ ' in (select id from tf_embeddings_tested)') %}
  {% endfor %}
  {% set start, end = '', '' %}
  {% if are_there %}
    {% set start = 'select * from (' %}
    {% set end = ') as judged_ids where ' ~ are_there | join(' and ') %}
  {% endif %}
  {% if selects %}
    {{ return(start ~ selects | join(' union all ') ~ end) }}
  {% endif %}
  {# A relation is a mapping too. #}
  {% set is_relation = judged is string or judged.identifier is defined %}
  {% if execute and (judged is sequence or judged is mapping) and not is_relation %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ tf_embeddings._quoted(judged)
      ~ "; it must be a list of lists of ids, [["
      ~ columns | join(', ') ~ "], …], or a relation with the columns " ~ columns | join(', ')
      ~ ", such as ref('judged')."
    ) %}
  {% endif %}

  {% set casts = [] %}
  {% for column in columns %}
    {% do casts.append('cast(given.' ~ column ~ ' as varchar) as ' ~ column) %}
  {% endfor %}
  {{ return(
    start ~ 'select ' ~ casts | join(', ') ~ ' from (select 1 as is_there) as always left join '
    ~ '(select * from ' ~ tf_embeddings._relation_argument(macro, argument, judged)
    ~ ') as given on true' ~ end
  ) }}
{% endmacro %}

{% macro _share_of_rows(relation, is_failing, counts, condition) %}
  {#
    A query of the failing rows of a relation, if `condition` holds, which may name their number,
    tf_embeddings_failing, and that of the rows that count, tf_embeddings_counted; `counts` is the
    condition for a row to count. Each row is evaluated once, because the model may run on it.
  #}
  {% set sql %}
with tf_embeddings_looked_at as (
  select
    *,
    coalesce({{ is_failing }}, false) as tf_embeddings_is_failing
  from {{ relation }}
),

tf_embeddings_numbered as (
  select
    *,
    count(case when tf_embeddings_is_failing then 1 end) over () as tf_embeddings_failing,
    count(case when tf_embeddings_is_failing or {{ counts }} then 1 end) over ()
      as tf_embeddings_counted
  from tf_embeddings_looked_at
)

select * exclude (tf_embeddings_is_failing, tf_embeddings_failing, tf_embeddings_counted)
from tf_embeddings_numbered
where tf_embeddings_is_failing and {{ condition }}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}

{% macro _is_partial_run() %}
  {#
    Whether dbt builds no rows (--empty) or only some (--sample), so missing rows are not a failure.
  #}
  {{ return(flags.EMPTY or invocation_args_dict.get('sample') is not none) }}
{% endmacro %}
