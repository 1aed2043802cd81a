{% macro snowflake__cosine_similarity(a, b) %}
  {# https://docs.snowflake.com/en/sql-reference/functions/vector_cosine_similarity #}
  {{ return('vector_cosine_similarity(' ~ a ~ ', ' ~ b ~ ')') }}
{% endmacro %}
