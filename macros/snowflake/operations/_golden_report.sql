{% macro snowflake___golden_report(pin, inventory, grant) %}
  {#
    A function that is there is called, so that a role that may use it need not create it. One that
    is not is created, whatever var tf_embeddings_manage says: this is asked for, not a hook.
    Whoever creates it or manages the schema grants it too: SHOW hides it from the roles that may
    not use it.
  #}
  {% set function = tf_embeddings.snowflake___function_name(pin, 'verify') %}
  {% set names = inventory.functions | map(attribute='name') | list %}
  {% set is_created = function.split('.') | last in names %}
  {% set file = tf_embeddings._staged_file(pin, inventory.files) %}
  {% set is_staged = file and file.version == pin.version %}

  {% if not is_staged and (not is_created or not inventory.notes) %}
    {% set where = "on " ~ inventory.place ~ " as version " ~ file.version ~ ". Correct the pin. "
      if file else "not on " ~ inventory.place ~ ". " ~ (inventory.notes + [""]) | join(" ") %}
    {% do exceptions.raise_compiler_error(
      "verify: model '" ~ pin.model ~ "' (version " ~ pin.version ~ ", build " ~ pin.build
      ~ ") is " ~ where ~ "Stage it with: " ~ tf_embeddings._stage_command(pin.model)
    ) %}
  {% endif %}
  {% for one in inventory.pinned if one.model == pin.model and one.state.startswith('damaged') %}
    {% do exceptions.raise_compiler_error(
      "verify: model '" ~ pin.model ~ "' (version " ~ pin.version ~ ", build " ~ pin.build
      ~ ") is " ~ one.state
    ) %}
  {% endfor %}
  {% if not is_created %}
    {% do run_query(tf_embeddings._create_function(pin, 'verify')) %}
  {% endif %}
  {% if grant and (not is_created or tf_embeddings._settings().manage) %}
    {% set embed = tf_embeddings.snowflake___function_name(pin).split('.') | last %}
    {% set kinds = ['embed', 'verify'] if embed in names else ['verify'] %}
    {% for statement in tf_embeddings._grants([pin], kinds) %}
      {% do run_query(statement) %}
    {% endfor %}
  {% endif %}
  {{ return(run_query('select ' ~ function ~ '()').rows[0][0]) }}
{% endmacro %}
