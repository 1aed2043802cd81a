{% macro _sql_argument(macro, argument, value) %}
  {# An argument that is a SQL expression, as text. Without its quotes it is empty. #}
  {% set expression = '' if value is none else value | string | trim %}
  {% if execute and not expression %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is empty; it must be a SQL expression in quotes, such as a "
      ~ "column: " ~ macro ~ "(" ~ argument ~ "='body', …)."
    ) %}
  {% endif %}
  {{ return(expression) }}
{% endmacro %}

{% macro _relation_argument(macro, argument, value) %}
  {#
    An argument that is a relation, the name of a CTE, or a query, as SQL to follow `from`. A text
    that is not a query must be a name, so that no other SQL gets in. A comment may come before it,
    or end the query.
  #}
  {% set comment = '(--|//)[^\\n]*(\\n|$)|/[*][^*]*[*]+([^/*][^*]*[*]+)*/' %}
  {% set comments = '(\\s|' ~ comment ~ ')*' %}
  {% set relation = modules.re.sub('^' ~ comments, '', '' if value is none else value | string) %}
  {% set relation = relation | trim %}
  {% if execute and not relation %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is empty; it must be a ref, a source, the name of a CTE, or a "
      ~ "query in quotes."
    ) %}
  {% endif %}
  {% set query = '(select|with|from)([^\\w$.]|$)' %}
  {% if modules.re.match('(?i)' ~ query, relation) %}
    {# A comment that ends the query must not take the parenthesis with it. #}
    {% set last_line = relation.split('\n') | last %}
    {% set end = '\n' if '--' in last_line or '//' in last_line else '' %}
    {{ return('(' ~ relation ~ end ~ ') as tf_embeddings_' ~ argument ~ '_query') }}
  {% endif %}

  {# dbt itself turns a relation into a subquery in parentheses, for `where` and --empty. #}
  {% set part = '([^\\W\\d][\\w$]*|"([^"]|"")+")' %}
  {% set is_name = modules.re.fullmatch(part ~ '([.]' ~ part ~ '){0,2}', relation) %}
  {% set is_subquery = modules.re.match('(?i)[(]' ~ comments ~ query, relation) %}
  {% if execute and value is string and not is_name and not is_subquery %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ value | pprint ~ "; a text must be a name, such as base "
      ~ "or database.schema.name, with double quotes around a part that needs them, or a query, "
      ~ "such as 'select * from base'."
    ) %}
  {% endif %}
  {{ return(relation) }}
{% endmacro %}

{% macro _number_argument(macro, argument, value, least, most, meaning, whole=false) %}
  {#
    An argument that is a number, as a number: YAML reads 1e-4, without a point, as text. `most` is
    none if there is no limit. At parse time the value is returned as it is.
  #}
  {% set number = tf_embeddings._as_number(value) %}
  {% set limit = 1e308 if most is none else most %}
  {% set fits = number is not none and least <= number and number <= limit %}
  {% if fits and not (whole and value is not integer) %}
    {{ return(number) }}
  {% endif %}
  {% if execute %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ tf_embeddings._quoted(value) ~ "; it must be a "
      ~ ("whole " if whole else "") ~ "number from " ~ least
      ~ (" to " ~ most if most is not none else "") ~ ", " ~ meaning ~ "."
    ) %}
  {% endif %}
  {{ return(value) }}
{% endmacro %}

{% macro _as_number(value) %}
  {# A number, or a text that is one, as a number; none for anything else. #}
  {% set digits = '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$' %}
  {% if value is boolean %}
    {{ return(none) }}
  {% elif value is number %}
    {{ return(value) }}
  {% elif modules.re.match(digits, value | string | trim) %}
    {{ return(value | string | trim | float) }}
  {% endif %}
  {{ return(none) }}
{% endmacro %}

{% macro _boolean_argument(macro, argument, value, allowed) %}
  {# Refuses all but true and false: Jinja would take the text 'false' for true. #}
  {% if execute and value is not boolean %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ tf_embeddings._quoted(value)
      ~ "; it must be " ~ allowed ~ "."
    ) %}
  {% endif %}
{% endmacro %}

{% macro _quoted(value) %}
  {# A value as it was given, a text in quotes: pprint writes lists on several lines in dbt v2. #}
  {{ return(value | pprint if value is string else value | string) }}
{% endmacro %}

{% macro _is_asked(relation) %}
  {#
    Whether a relation can be queried now: a model is running, and the relation exists. A CTE and a
    query in quotes cannot be queried on their own.
  #}
  {% set is_run = execute and tf_embeddings._is_run() and model.resource_type == 'model' %}
  {% set is_relation = relation is not string and relation.identifier and not relation.is_cte %}
  {% if not is_run or not is_relation %}
    {{ return(false) }}
  {% endif %}
  {{ return(load_relation(relation) is not none) }}
{% endmacro %}
