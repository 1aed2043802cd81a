{% macro _relation_argument(macro, argument, value) %}
  {# An argument that is a relation, the name of a CTE, or a query, as it stands after `from`. #}
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
  {{ return(relation) }}
{% endmacro %}
