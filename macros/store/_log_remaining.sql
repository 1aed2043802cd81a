{% macro _log_remaining(new_texts, limit) %}
  {# Says how much of a bounded run is left for the next. #}
  {% set count = 'with ' ~ new_texts ~ '\n\nselect count(*) from tf_embeddings_unknown' %}
  {% set found = run_query(count).rows[0][0] %}
  {% set now = [found, limit] | min %}
  {% do log(
    'embedding_store: ' ~ found ~ ' new texts, embedding ' ~ now ~ ' of them now; ' ~ (found - now)
    ~ ' remain for the next run', info=true
  ) %}
{% endmacro %}
