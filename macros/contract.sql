{% macro _unsupported(macro) %}
  {# What every default__ gives. A project must still parse for a target that embeds nothing. #}
  {% if execute %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": tf_embeddings does not run on " ~ target.type ~ " (it runs on: duckdb, "
      ~ "snowflake). Choose a target of that type with --target."
    ) %}
  {% endif %}
  {{ return('null') }}
{% endmacro %}

{% macro _vector_type(dimensions) %}
  {{ return(adapter.dispatch('_vector_type', 'tf_embeddings')(dimensions)) }}
{% endmacro %}

{% macro default___vector_type(dimensions) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro default__text_hash(text) %}
  {{ return(tf_embeddings._unsupported('text_hash')) }}
{% endmacro %}

{% macro _function_name(pin) %}
  {#
    Named after what it runs, so that two builds of a model are two functions, and a pin with the
    version of one and the build of another names none: its vectors would be marked wrongly.
  #}
  {{ return(adapter.dispatch('_function_name', 'tf_embeddings')(pin)) }}
{% endmacro %}

{% macro default___function_name(pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro _outcome(text, pin, macro='embed', tokens_only=false) %}
  {#
    The call of a model's function: embedding, token_count, is_truncated and status of one text.
    With tokens_only the model itself does not run, and the embedding is NULL.
  #}
  {{ return(adapter.dispatch('_outcome', 'tf_embeddings')(text, pin, macro, tokens_only)) }}
{% endmacro %}

{% macro default___outcome(text, pin, macro, tokens_only) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}

{% macro _outcome_column(outcome, column, pin) %}
  {#
    A part of what a model's function answers, in the type of SQL that users get: embedding,
    token_count, is_truncated or status.
  #}
  {{ return(adapter.dispatch('_outcome_column', 'tf_embeddings')(outcome, column, pin)) }}
{% endmacro %}

{% macro default___outcome_column(outcome, column, pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro _status(text, pin, macro) %}
  {# What the runtime says of a text: ok, null, blank or error. #}
  {{ return(adapter.dispatch('_status', 'tf_embeddings')(text, pin, macro)) }}
{% endmacro %}

{% macro default___status(text, pin, macro) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}

{% macro _store_strategy() %}
  {# How dbt adds the new rows to a store. #}
  {{ return(adapter.dispatch('_store_strategy', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___store_strategy() %}
  {{ return(tf_embeddings._unsupported('embedding_store')) }}
{% endmacro %}

{% macro _joinable_vector(vector) %}
  {# A vector as the right side of a left join carries it; _joined_vector makes a vector of it. #}
  {{ return(adapter.dispatch('_joinable_vector', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___joinable_vector(vector) %}
  {{ return(tf_embeddings._unsupported('with_embeddings')) }}
{% endmacro %}

{% macro _joined_vector(vector, dimensions) %}
  {# What _joinable_vector gave, after the join: the vector, or NULL where no row was found. #}
  {{ return(adapter.dispatch('_joined_vector', 'tf_embeddings')(vector, dimensions)) }}
{% endmacro %}

{% macro default___joined_vector(vector, dimensions) %}
  {{ return(tf_embeddings._unsupported('with_embeddings')) }}
{% endmacro %}

{% macro default__cosine_similarity(a, b) %}
  {{ return(tf_embeddings._unsupported('cosine_similarity')) }}
{% endmacro %}

{% macro default__inner_product(a, b) %}
  {{ return(tf_embeddings._unsupported('inner_product')) }}
{% endmacro %}

{% macro default__l2_distance(a, b) %}
  {{ return(tf_embeddings._unsupported('l2_distance')) }}
{% endmacro %}

{% macro default__nearest_neighbors(
  query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
) %}
  {{ return(tf_embeddings._unsupported('nearest_neighbors')) }}
{% endmacro %}

{% macro default__near_duplicates(rows, threshold) %}
  {{ return(tf_embeddings._unsupported('near_duplicates')) }}
{% endmacro %}

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

{% macro _golden_report(pin, inventory, grant) %}
  {#
    What a staged artifact gives for its golden texts where it is deployed, as JSON. `inventory` is
    that of _inventory; `grant` is false where _deploy follows, which grants the same.
  #}
  {{ return(adapter.dispatch('_golden_report', 'tf_embeddings')(pin, inventory, grant)) }}
{% endmacro %}

{% macro default___golden_report(pin, inventory, grant) %}
  {{ return(tf_embeddings._unsupported('verify')) }}
{% endmacro %}

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

{% macro default___on_run_start(pins) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro default___on_run_end(results) %}
  {{ return('') }}
{% endmacro %}

{% macro default___staging_target(packages, left_out) %}
  {{ return(tf_embeddings._unsupported('stage_model')) }}
{% endmacro %}

{% macro default___staging_put(path, pin, bytes, dry_run) %}
  {# The script itself copies files to the folder of a DuckDB target. #}
  {% do exceptions.raise_compiler_error(
    "stage_model: a " ~ target.type ~ " target has no stage to put files on."
  ) %}
{% endmacro %}

{% macro _deploy(pin, inventory) %}
  {#
    Creates the function of a staged artifact, where a warehouse has it beside the file.
    `inventory` is that of _inventory for this pin alone.
  #}
  {% do adapter.dispatch('_deploy', 'tf_embeddings')(pin, inventory) %}
{% endmacro %}

{% macro default___deploy(pin, inventory) %}
  {# Nothing: the functions come with the files. #}
{% endmacro %}

{% macro _text_literal(text) %}
  {# Any text as a literal of SQL. #}
  {{ return(adapter.dispatch('_text_literal', 'tf_embeddings')(text)) }}
{% endmacro %}

{% macro default___text_literal(text) %}
  {{ return(tf_embeddings._unsupported('embeddings_are_similar')) }}
{% endmacro %}

{% macro _vector_length(vector) %}
  {# The number of components of a vector. #}
  {{ return(adapter.dispatch('_vector_length', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___vector_length(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_dimension')) }}
{% endmacro %}

{% macro _squared_norm(vector) %}
  {#
    The sum of the squares of a vector's components, in double precision: exact enough to compare,
    and finite exactly where every component is. Null for a vector with a null component.
  #}
  {{ return(adapter.dispatch('_squared_norm', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___squared_norm(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_is_finite')) }}
{% endmacro %}

{% macro _is_finite(number) %}
  {# Whether a double is neither infinite nor NaN. #}
  {{ return(adapter.dispatch('_is_finite', 'tf_embeddings')(number)) }}
{% endmacro %}

{% macro default___is_finite(number) %}
  {{ return(tf_embeddings._unsupported('embedding_is_finite')) }}
{% endmacro %}

{% macro _vector_hash(vector) %}
  {# A number that is the same for equal vectors, and orders others as by chance. #}
  {{ return(adapter.dispatch('_vector_hash', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___vector_hash(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_no_collapse')) }}
{% endmacro %}

{% macro _golden_differences(matched) %}
  {#
    A query of the largest difference of a component for each id: of the vector `embedding` and the
    JSON text `golden_embedding`. Infinite or NULL where they do not compare: one of them is NULL or
    no JSON, they differ in length, a component is no number.
  #}
  {{ return(adapter.dispatch('_golden_differences', 'tf_embeddings')(matched)) }}
{% endmacro %}

{% macro default___golden_differences(matched) %}
  {{ return(tf_embeddings._unsupported('embedding_matches_golden')) }}
{% endmacro %}

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
