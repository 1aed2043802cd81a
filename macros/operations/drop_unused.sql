{% macro drop_unused(drop=false, days=7) %}
  {#
    An operation: dbt run-operation tf_embeddings.drop_unused. It drops functions before the files
    that they import, and a statement that fails stops it, so no remaining function loses its file.
    What is young stays, because a model is staged before its pin is merged.
  #}
  {% do tf_embeddings._boolean_argument(
    'drop_unused', 'drop', drop, 'true, to drop, or false, to list'
  ) %}
  {% set days = tf_embeddings._number_argument('drop_unused', 'days', days, 0, none, 'such as 7') %}
  {% set settings = tf_embeddings._settings() %}
  {% if not settings.manage %}
    {% do exceptions.raise_compiler_error(
      "drop_unused: var tf_embeddings_manage is "
      ~ (settings.managers | join(', ') ~ ", not target " ~ target.name if settings.managers
        else "false")
      ~ ", so others own what is staged and created. Run it "
      ~ ("with --target " ~ settings.managers[0] if settings.managers else "where it is true")
      ~ "; dbt run-operation tf_embeddings.status only lists."
    ) %}
  {% endif %}
  {% set pins = tf_embeddings._pins('drop_unused') %}
  {% if drop and not pins %}
    {% do exceptions.raise_compiler_error(
      "drop_unused: var tf_embeddings_models has no models, so everything would be dropped. Run it "
      ~ "in the project that pins the models in use."
    ) %}
  {% endif %}

  {% set inventory = tf_embeddings._inventory(pins, 'drop_unused') %}
  {% for note in inventory.notes %}
    {% do print(note) %}
  {% endfor %}
  {% set unused = tf_embeddings._unused(pins, inventory, days) %}
  {% for one in unused %}
    {% if one.is_young %}
      {% set done, but = 'kept', '; it or its function is younger than ' ~ days ~ ' days' %}
    {% elif not one.drop %}
      {% set done = 'not dropped' if drop else 'unused' %}
      {% set but = '; other files have names that begin with its name' %}
    {% else %}
      {% set done, but = 'dropped' if drop else 'unused', '' %}
    {% endif %}
    {% if done == 'dropped' %}
      {% do run_query(one.drop) %}
    {% endif %}
    {% do print(done ~ ': ' ~ one.what ~ ' ' ~ one.place ~ ' (' ~ one.why ~ but ~ ')') %}
  {% endfor %}

  {% if not unused and not inventory.notes %}
    {% do print('Nothing is unused in ' ~ inventory.place ~ '.') %}
  {% elif not drop and unused | rejectattr('is_young') | list %}
    {% do print(
      "Nothing was dropped. Other projects or targets may still use these: check, then drop with "
      ~ "--args '{drop: true}'."
    ) %}
  {% endif %}
  {% if unused | selectattr('is_young') | list %}
    {% do print(
      "What was kept may be staged for a pin that is not merged yet; --args '{days: 0}' includes "
      ~ "it."
    ) %}
  {% endif %}
{% endmacro %}
