{% macro _check_store(pin) %}
  {#
    What would embed every text at every run, or fail half-way, is an error before anything runs.
    The project's `models: +materialized: …` overrules the config of a package's models, this
    store's own included. A unit test runs the SQL alone, on made-up rows.
  #}
  {% if model is not mapping or model.resource_type != 'model' %}
    {{ return('') }}
  {% endif %}
  {% if model.config.materialized != 'incremental' %}
    {% do exceptions.raise_compiler_error(
      "embedding_store: " ~ model.unique_id ~ " is materialized as " ~ model.config.materialized
      ~ ", so every run would embed all texts; it must be incremental. Leave materialized to "
      ~ "embedding_store: in dbt_project.yml, put +materialized below the project's name, because "
      ~ "directly below models it is for the models of packages too."
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
