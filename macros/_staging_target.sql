{% macro _staging_target() %}
  {# Tells scripts/stage_model.py where the target keeps artefacts: one line of the log, as JSON. #}
  {% set place = adapter.dispatch('_staging_target', 'tf_embeddings')() %}
  {% set place = dict(place, type=target.type, target=target.name) %}
  {% do log('tf_embeddings_target ' ~ tojson(place, sort_keys=true), info=true) %}
{% endmacro %}

{% macro default___staging_target() %}
  {{ return(tf_embeddings._unsupported('stage_model')) }}
{% endmacro %}
