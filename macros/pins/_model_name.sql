{% macro _model_name(model, macro) %}
  {# The name of a pinned model: `model`, or the default one where that is none. #}
  {% set settings = tf_embeddings._settings() %}
  {% set names = settings.models | list | join(', ') %}
  {% set stage_it = "scripts/stage_model.py and add its pin to dbt_project.yml." %}

  {% if model is not none and (model is not string or not model) %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model is " ~ model | pprint ~ "; it must be the name of a model in quotes, such "
      ~ "as model='minilm', or be left out for the default model."
    ) %}
  {% endif %}
  {% if not settings.models %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": var tf_embeddings_models has no models. Stage one with " ~ stage_it
      ~ " It is read from the project's vars, not from those of a package."
    ) %}
  {% endif %}
  {% if model is none and not settings.default_model %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": var tf_embeddings_models has several models (" ~ names ~ "), so say which one: "
      ~ "pass model='…', or name one in var tf_embeddings_default_model."
    ) %}
  {% endif %}
  {% if model is none and settings.default_model not in settings.models %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": var tf_embeddings_default_model is '" ~ settings.default_model ~ "', which is not "
      ~ "in var tf_embeddings_models (it has: " ~ names ~ "). Stage it with " ~ stage_it
    ) %}
  {% endif %}
  {% if model is not none and model not in settings.models %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model '" ~ model ~ "' is not in var tf_embeddings_models (it has: " ~ names
      ~ "). Stage it with " ~ stage_it
    ) %}
  {% endif %}

  {{ return(settings.default_model if model is none else model) }}
{% endmacro %}
