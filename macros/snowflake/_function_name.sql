{% macro snowflake___function_name(pin, kind='embed') %}
  {#
    With a digest of all that the function is, so that other settings make another function beside
    the one that running queries use, and none is ever replaced.
  #}
  {% set digest = local_md5(tf_embeddings._function_definition(pin, kind))[:8] %}
  {% set prefix = 'tf_embeddings_verify' if kind == 'verify' else 'tf_embeddings' %}
  {{ return(
    tf_embeddings._schema_name() ~ '.' ~ [prefix, pin.model, pin.build, digest] | join('_')
  ) }}
{% endmacro %}
