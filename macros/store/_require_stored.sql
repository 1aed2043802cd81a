{% macro _require_stored(store, pin) %}
  {#
    That with_embeddings has something to join: a store that is not built is an error, and one
    without a row of the version a warning, because every vector would be NULL and no test of
    vectors says so. Asked in a run alone; a unit test, or a CTE, has no relation to ask. In a run
    with --empty all is empty; in one with --sample the store is asked as a whole.
  #}
  {% set is_run = flags.WHICH in ['run', 'build'] and model.resource_type == 'model' %}
  {% if not is_run or store is string or store.is_cte %}
    {{ return('') }}
  {% endif %}
  {% set stored = load_relation(store) %}
  {% if not stored %}
    {% do exceptions.raise_compiler_error(
      "with_embeddings: the store " ~ store ~ " is not built yet. Build it and what stands on it "
      ~ "with: dbt build --select +" ~ model.name
    ) %}
  {% endif %}
  {% if flags.EMPTY %}
    {{ return('') }}
  {% endif %}
  {% set one = 'select 1 from ' ~ stored ~ " where model_version = '" ~ pin.version ~ "' limit 1" %}
  {% if not run_query(one).rows %}
    {% do exceptions.warn(
      "with_embeddings: " ~ store ~ " has no row of model '" ~ pin.model ~ "', version "
      ~ pin.version ~ ", so " ~ model.name ~ " has no vectors. Build the store with that model, "
      ~ "and what stands on it, with: dbt build --select +" ~ model.name
    ) %}
  {% endif %}
{% endmacro %}
