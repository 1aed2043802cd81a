{% macro _create_function(pin, kind='embed') %}
  {# The statement that creates a pin's function, if there is none; see _function_definition. #}
  {{ return(
    'create function if not exists ' ~ tf_embeddings.snowflake___function_name(pin, kind)
    ~ tf_embeddings._function_definition(pin, kind)
  ) }}
{% endmacro %}
