{% macro _staging_target(packages=[], left_out=[]) %}
  {#
    Tells scripts/stage_model.py where the target keeps artifacts: one line of the log, as JSON.
    The list `engines` says what can run a model there. What would keep a function with these
    packages from being made is an error already, and what may is in the list `warnings`; `left_out`
    names the checks that the account turned out not to know.
  #}
  {% set place = adapter.dispatch('_staging_target', 'tf_embeddings')(packages, left_out) %}
  {% set place = dict(place, type=target.type, target=target.name) %}
  {% do log('tf_embeddings_target ' ~ tojson(place, sort_keys=true), info=true) %}
{% endmacro %}

{% macro default___staging_target(packages, left_out) %}
  {{ return(tf_embeddings._unsupported('stage_model')) }}
{% endmacro %}
