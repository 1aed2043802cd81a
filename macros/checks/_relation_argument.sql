{% macro _relation_argument(macro, argument, value) %}
  {#
    An argument that is a relation, the name of a CTE, or a query, as it stands after `from`. A text
    that is no query must be a name: it would be SQL of its own else.
  #}
  {% set relation = '' if value is none else value | string | trim %}
  {% if execute and not relation %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is empty; it must be a ref, a source, the name of a CTE, or a "
      ~ "query in quotes."
    ) %}
  {% endif %}
  {% if modules.re.match('(?i)(select|with|from)\\s', relation) %}
    {{ return('(' ~ relation ~ ') as tf_embeddings_' ~ argument ~ '_query') }}
  {% endif %}

  {# A subquery in parentheses is what dbt itself makes of a relation, with `where` or --empty. #}
  {% set part = '([^\\W\\d][\\w$]*|"([^"]|"")+")' %}
  {% set is_name = modules.re.fullmatch(part ~ '([.]' ~ part ~ '){0,2}', relation) %}
  {% set is_subquery = modules.re.match('(?i)[(]\\s*(select|with|from)\\s', relation) %}
  {% if execute and value is string and not is_name and not is_subquery %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": " ~ argument ~ " is " ~ value | pprint ~ "; a text must be a name, such as base "
      ~ "or database.schema.name, with double quotes around a part that needs them, or a query, "
      ~ "such as 'select * from base'."
    ) %}
  {% endif %}
  {{ return(relation) }}
{% endmacro %}
