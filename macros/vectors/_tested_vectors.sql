{% macro _tested_vectors(macro, model, column_name, id, argument='id') %}
  {# A query of the vectors that a generic test is about, each with its id as text. #}
  {% set id = tf_embeddings._sql_argument(macro, argument, id) %}
  {{ return(
    'select cast(' ~ id ~ ' as varchar) as id, ' ~ column_name ~ ' as embedding from ' ~ model
  ) }}
{% endmacro %}
