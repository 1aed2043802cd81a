{% macro _drift(tested, baseline) %}
  {#
    CTEs, the last of them tf_embeddings_drift: one row with how far the vectors of one relation are
    from those of another. Both are named by their CTEs, with the column embedding.
  #}
  {{ return(adapter.dispatch('_drift', 'tf_embeddings')(tested, baseline)) }}
{% endmacro %}

{% macro default___drift(tested, baseline) %}
  {{ return(tf_embeddings._unsupported('embedding_drift')) }}
{% endmacro %}
