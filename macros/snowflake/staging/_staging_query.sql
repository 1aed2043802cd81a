{% macro _staging_query(sql, doing, next=none, optional=none) %}
  {#
    Runs a statement; returns its rows as maps, with keys in lower case. It may be refused, which no
    macro can catch: the line of the log tells scripts/stage_model.py what was being done and what
    to do next, or the name of a check that may be left out.
  #}
  {% set step = {'doing': doing, 'next': next, 'optional': optional} %}
  {% do log('tf_embeddings_step ' ~ tojson(step, sort_keys=true), info=true) %}
  {{ return(tf_embeddings._rows(sql)) }}
{% endmacro %}
