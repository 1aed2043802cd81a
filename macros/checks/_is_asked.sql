{% macro _is_asked(relation) %}
  {#
    Whether an argument can be asked what it holds: a table that is there, while a model runs. A
    CTE, or a query in quotes, has no relation to ask.
  #}
  {% set is_run = execute and flags.WHICH in ['run', 'build'] and model.resource_type == 'model' %}
  {% set is_relation = relation is not string and relation.identifier and not relation.is_cte %}
  {% if not is_run or not is_relation %}
    {{ return(false) }}
  {% endif %}
  {{ return(load_relation(relation) is not none) }}
{% endmacro %}
