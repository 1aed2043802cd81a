{% macro _check_store(sources, pin) %}
  {#
    What would embed every text at every run, or fail half-way, is an error before anything runs.
    The project's `models: +…` overrules the config of a package's models, this store's own
    included. A unit test runs the SQL alone, on made-up rows.
  #}
  {% if model is not mapping or model.resource_type != 'model' %}
    {{ return('') }}
  {% endif %}
  {% for key, value in tf_embeddings._store_config().items() if model.config.get(key) != value %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ model.unique_id ~ " has the config " ~ key ~ ": "
      ~ model.config.get(key) ~ ", and a store must have " ~ value ~ ", or it may embed again what "
      ~ "it has. Leave " ~ key ~ " to embedding_store: in dbt_project.yml, put +" ~ key ~ " below "
      ~ "the project's name, because directly below models it is for the models of packages too."
    ) %}
  {% endfor %}
  {% set declared = model.config.meta.get('tf_embeddings_store', {}).get('sources') %}
  {% if declared != tf_embeddings._declared_sources(sources) %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: the sources of " ~ model.unique_id ~ " are " ~ sources | pprint ~ ", and "
      ~ "dbt parsed " ~ declared | pprint ~ "; prune and estimate would look at the latter. Name "
      ~ "models as {'ref': …}, and let no source depend on a query, `execute` or ref() in a string."
    ) %}
  {% endif %}
  {% set existing = load_relation(this) if flags.WHICH in ['run', 'build'] else none %}
  {% if existing and existing.is_view and not should_full_refresh() %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ this ~ " is a view, as dbt clone leaves it where it copies no tables, "
      ~ "and a run would replace it and embed all its texts again. Drop the view, and name the "
      ~ "store that it shows in var tf_embeddings_shared_store: the new store copies what that has."
    ) %}
  {% endif %}
  {% set hooks = model.config.get('post-hook') or [] %}
  {% if hooks and '_embed_remaining' not in hooks[0].sql and tf_embeddings._portion() is not none %}
    {% do exceptions.warn(
      "embedding_store: " ~ model.unique_id ~ " has a post-hook that runs when the first portion "
      ~ "is embedded, and not when all texts are: " ~ hooks[0].sql ~ ". If it reads the store, "
      ~ "put it into a model on the store, or set var tf_embeddings_portion to 0."
    ) %}
  {% endif %}
  {% if not is_incremental() %}
    {{ return('') }}
  {% endif %}

  {% set stored = tf_embeddings._stored_type(this) %}
  {% set type = tf_embeddings._vector_type(pin.dimensions) | replace(' ', '') %}
  {% if stored and stored != type %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ this ~ " holds vectors of the type " ~ stored ~ ", and those of model '"
      ~ pin.model ~ "' are " ~ type ~ "; a store holds vectors of one type. Give this model "
      ~ "another alias, or write a second model with embedding_store."
    ) %}
  {% endif %}
{% endmacro %}
