{% macro _inventory(pins, macro) %}
  {#
    What the warehouse has of the package, as a map, read without changing anything:
    place: where that was looked for, to read.
    notes: sentences on what could not be looked at.
    files: the staged artifacts, as maps of model, version, build, bytes; place, to read; and
      drop, the statement that removes it and nothing else, or none where there is no such one;
      and age, in days, where the warehouse tells it.
    functions: as maps of model, version, build; place; drop; age; is_ours, whether the package
      created it; and is_named, whether a pin with today's settings calls it.
    pinned: for each pin a map of staged and function, to read; state, what follows from them; and
      is_ready, whether a run can call it.
  #}
  {{ return(adapter.dispatch('_inventory', 'tf_embeddings')(pins, macro)) }}
{% endmacro %}

{% macro default___inventory(pins, macro) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}
