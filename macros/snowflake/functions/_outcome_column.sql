{% macro snowflake___outcome_column(outcome, column, pin) %}
  {#
    The conversions turn the null inside an object, which is not SQL's, into a NULL.
    https://docs.snowflake.com/en/sql-reference/functions/as_array
  #}
  {% set value = 'get(' ~ outcome ~ ", '" ~ column ~ "')" %}
  {{ return({
    'embedding': 'cast(as_array(' ~ value ~ ') as ' ~ tf_embeddings._vector_type(pin.dimensions)
      ~ ')',
    'token_count': 'cast(as_integer(' ~ value ~ ') as integer)',
    'is_truncated': 'as_boolean(' ~ value ~ ')',
    'status': 'as_varchar(' ~ value ~ ')',
  }[column]) }}
{% endmacro %}
