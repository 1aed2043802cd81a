{% macro _portion() %}
  {#
    How many texts the first statement of a run embeds, or none for all of them. dbt compile and
    dbt show render a store too, and a unit test runs its SQL alone: there no hook goes on.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set sizes = [] %}
  {% if settings.portion != 0 and flags.WHICH in ['run', 'build']
    and model.resource_type == 'model' %}
    {% set default = 5000 if target.type == 'snowflake' else 250 %}
    {% do sizes.append(default if settings.portion is none else settings.portion) %}
  {% endif %}
  {% if settings.max_new_texts is not none %}
    {% do sizes.append(settings.max_new_texts) %}
  {% endif %}
  {{ return(sizes | min if sizes else none) }}
{% endmacro %}
