{% macro _text_literal(text) %}
  {# Any text as a literal of SQL. #}
  {{ return(adapter.dispatch('_text_literal', 'tf_embeddings')(text)) }}
{% endmacro %}

{% macro default___text_literal(text) %}
  {{ return(tf_embeddings._unsupported('embeddings_are_similar')) }}
{% endmacro %}
