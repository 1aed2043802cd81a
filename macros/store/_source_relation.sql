{% macro _source_relation(source) %}
  {#
    The relation of a source of a store; ref() and source() make the edge of dbt's graph. A name
    alone is one of the user's project, for the package's own model too: dbt would warn there.
  #}
  {% if source.kind == 'relation' %}
    {{ return(tf_embeddings._relation_argument('embedding_store', 'relation', source.name)) }}
  {% endif %}
  {% if source.kind == 'source' %}
    {{ return(builtins.source(source.name[0], source.name[1])) }}
  {% endif %}
  {% if source.name is not string %}
    {{ return(ref(source.name[0], source.name[1])) }}
  {% endif %}
  {% if model is defined and model.package_name == 'tf_embeddings' %}
    {{ return(ref(project_name, source.name)) }}
  {% endif %}
  {{ return(ref(source.name)) }}
{% endmacro %}
