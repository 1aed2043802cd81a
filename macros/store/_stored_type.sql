{% macro _stored_type(relation) %}
  {# The type of a store's vectors, as _vector_type writes it, without spaces; none without one. #}
  {% for column in adapter.get_columns_in_relation(relation)
    if column.name | lower == 'embedding' %}
    {{ return(column.data_type | lower | replace(' ', '')) }}
  {% endfor %}
  {{ return(none) }}
{% endmacro %}
