{% macro _on_run_start() %}
  {#
    The SQL of the package's hook, and none where the run embeds nothing. It only renders text: dbt
    compile and dbt docs generate render it too, and must send nothing. Wrong settings are a
    compiler error, because a hook whose SQL fails does not stop dbt's models.
  #}
  {% if not execute %}
    {{ return('') }}
  {% endif %}

  {% set pins = tf_embeddings._pins_of_run() %}
  {% if not pins %}
    {{ return('') }}
  {% endif %}
  {% if flags.WHICH in ['run', 'build'] %}
    {% do tf_embeddings._warn_of_views() %}
  {% endif %}

  {{ return(adapter.dispatch('_on_run_start', 'tf_embeddings')(pins)) }}
{% endmacro %}

{% macro default___on_run_start(pins) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}
