{% macro _on_run_start() %}
  {#
    The SQL of the package's hook, and none where the run embeds nothing. It only renders text: dbt
    compile and dbt docs generate render it too, and must send nothing. Wrong settings are a
    compiler error, because a hook whose SQL fails does not stop dbt's models.
  #}
  {% if not execute %}
    {{ return('') }}
  {% endif %}

  {% set pins = {} %}
  {% for name in tf_embeddings._models_of_run() %}
    {% set pin = tf_embeddings._pin(none if name == 'DEFAULT' else name) %}
    {% do pins.update({pin.model: pin}) %}
  {% endfor %}
  {% if not pins %}
    {{ return('') }}
  {% endif %}

  {% set sorted_pins = pins | dictsort | map('last') | list %}
  {{ return(adapter.dispatch('_on_run_start', 'tf_embeddings')(sorted_pins)) }}
{% endmacro %}

{% macro default___on_run_start(pins) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}
