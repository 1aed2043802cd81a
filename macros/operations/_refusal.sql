{% macro _refusal(pin) %}
  {#
    Has the deployed model embed a word. None where it does; else why it does not, in words that
    say what to do. It changes nothing.
  #}
  {{ return(adapter.dispatch('_refusal', 'tf_embeddings')(pin)) }}
{% endmacro %}

{% macro default___refusal(pin) %}
  {{ return(tf_embeddings._unsupported('status')) }}
{% endmacro %}
