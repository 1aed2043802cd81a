{% macro _on_run_end(results) %}
  {# Says what to do where a run failed for want of an artifact. It sends nothing. #}
  {% if execute and results is not none %}
    {% do adapter.dispatch('_on_run_end', 'tf_embeddings')(results) %}
  {% endif %}
  {{ return('') }}
{% endmacro %}

{% macro default___on_run_end(results) %}
  {{ return('') }}
{% endmacro %}
