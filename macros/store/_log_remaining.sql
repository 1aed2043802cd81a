{% macro _log_remaining(new_texts, limit) %}
  {#
    Says how much of a bounded run is left for the next. It asks the sources, so it needs a run:
    the CTEs of a unit test, or of an ephemeral source, are not there for a query of its own.
  #}
  {% set parents = [] %}
  {% for id in model.get('depends_on', {}).get('nodes', []) if id in graph.nodes %}
    {% do parents.append(graph.nodes[id].config.materialized) %}
  {% endfor %}
  {% if flags.WHICH not in ['run', 'build'] or model.resource_type != 'model' %}
    {{ return('') }}
  {% endif %}
  {% if 'ephemeral' in parents %}
    {% do log(
      'embedding_store: embedding at most ' ~ limit ~ ' new texts now; what remains is not '
      ~ 'counted, because a source is ephemeral', info=true
    ) %}
    {{ return('') }}
  {% endif %}

  {% set count = 'with ' ~ new_texts ~ '\n\nselect count(*) from tf_embeddings_unknown' %}
  {% set found = run_query(count).rows[0][0] | int %}
  {% set now = [found, limit] | min %}
  {% do log(
    'embedding_store: ' ~ found ~ ' new texts, embedding ' ~ now ~ ' of them now; ' ~ (found - now)
    ~ ' remain for the next run', info=true
  ) %}
{% endmacro %}
