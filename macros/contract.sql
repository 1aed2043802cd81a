{#
  What a warehouse must answer: a macro <type>__… for each dispatch below. Only this file calls
  adapter.dispatch; macros/<type>/ has the answers, in a file for each section of this one.
  docs/new-warehouse.md explains how to add a warehouse.
#}

{% macro _unsupported(macro) %}
  {# For a warehouse without an answer. A project for it must still parse: `null` is SQL. #}
  {% if execute %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": tf_embeddings does not run on " ~ target.type ~ " (it runs on: duckdb, "
      ~ "snowflake). Choose a target of that type with --target."
    ) %}
  {% endif %}
  {{ return('null') }}
{% endmacro %}

{# embed.sql #}

{% macro _vector_type(dimensions) %}
  {# The SQL type of a vector: so many float32 components. #}
  {{ return(adapter.dispatch('_vector_type', 'tf_embeddings')(dimensions)) }}
{% endmacro %}

{% macro default___vector_type(dimensions) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro _most_dimensions() %}
  {# The most components that a vector can have: a whole number, none without a limit. #}
  {{ return(adapter.dispatch('_most_dimensions', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___most_dimensions() %}
  {{ return(none) }}
{% endmacro %}

{% macro _text_hash(text) %}
  {# The SHA-256 of the UTF-8 of a text expression, as 64 lower case hex digits; NULL for NULL. #}
  {{ return(adapter.dispatch('text_hash', 'tf_embeddings')(text)) }}
{% endmacro %}

{% macro default__text_hash(text) %}
  {{ return(tf_embeddings._unsupported('text_hash')) }}
{% endmacro %}

{% macro _function_name(pin) %}
  {#
    The name of the function that runs a pin's artifact. It depends on model, version and build: two
    builds are two functions, and a pin whose version and build do not belong together finds none.
  #}
  {{ return(adapter.dispatch('_function_name', 'tf_embeddings')(pin)) }}
{% endmacro %}

{% macro default___function_name(pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro _outcome(text, pin, macro='embed', tokens_only=false) %}
  {#
    The call of that function: an expression with the parts embedding, token_count, is_truncated and
    status of one text. With tokens_only the model does not run, and the embedding is NULL. `macro`
    is the macro to name in errors.
  #}
  {{ return(adapter.dispatch('_outcome', 'tf_embeddings')(text, pin, macro, tokens_only)) }}
{% endmacro %}

{% macro default___outcome(text, pin, macro, tokens_only) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}

{% macro _outcome_column(outcome, column, pin) %}
  {#
    One part of an outcome, in the SQL type that users get: a vector, an integer, a boolean or a
    text; and score, a number, the only component of the embedding of a pair.
  #}
  {{ return(adapter.dispatch('_outcome_column', 'tf_embeddings')(outcome, column, pin)) }}
{% endmacro %}

{% macro default___outcome_column(outcome, column, pin) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro _status(text, pin, macro) %}
  {# What the runtime says of a text, never NULL: ok, null, blank or error. #}
  {{ return(adapter.dispatch('_status', 'tf_embeddings')(text, pin, macro)) }}
{% endmacro %}

{% macro default___status(text, pin, macro) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}

{# store.sql #}

{% macro _store_strategy() %}
  {#
    dbt's incremental strategy for a store: append or merge. Two runs at once must not add a row
    twice.
  #}
  {{ return(adapter.dispatch('_store_strategy', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___store_strategy() %}
  {{ return(tf_embeddings._unsupported('embedding_store')) }}
{% endmacro %}

{% macro _store_pace() %}
  {#
    How a store embeds in portions, as a map: first, the number of texts in the first portion; and
    seconds: portions double while a statement takes less.
  #}
  {{ return(adapter.dispatch('_store_pace', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___store_pace() %}
  {{ return(tf_embeddings._unsupported('embedding_store')) }}
{% endmacro %}

{% macro _joinable_vector(vector) %}
  {# A vector as a left join can carry it; _joined_vector turns it back. #}
  {{ return(adapter.dispatch('_joinable_vector', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___joinable_vector(vector) %}
  {{ return(tf_embeddings._unsupported('with_embeddings')) }}
{% endmacro %}

{% macro _joined_vector(vector, dimensions) %}
  {# What _joinable_vector gave, after the join: a vector, or NULL where no row matched. #}
  {{ return(adapter.dispatch('_joined_vector', 'tf_embeddings')(vector, dimensions)) }}
{% endmacro %}

{% macro default___joined_vector(vector, dimensions) %}
  {{ return(tf_embeddings._unsupported('with_embeddings')) }}
{% endmacro %}

{# search.sql #}

{% macro _cosine_similarity(a, b) %}
  {# The cosine of the angle between two vector expressions; NULL where one is NULL. #}
  {{ return(adapter.dispatch('cosine_similarity', 'tf_embeddings')(a, b)) }}
{% endmacro %}

{% macro default__cosine_similarity(a, b) %}
  {{ return(tf_embeddings._unsupported('cosine_similarity')) }}
{% endmacro %}

{% macro _inner_product(a, b) %}
  {# The inner product of two vector expressions; NULL where one is NULL. #}
  {{ return(adapter.dispatch('inner_product', 'tf_embeddings')(a, b)) }}
{% endmacro %}

{% macro default__inner_product(a, b) %}
  {{ return(tf_embeddings._unsupported('inner_product')) }}
{% endmacro %}

{% macro _l2_distance(a, b) %}
  {# The Euclidean distance of two vector expressions; NULL where one is NULL. #}
  {{ return(adapter.dispatch('l2_distance', 'tf_embeddings')(a, b)) }}
{% endmacro %}

{% macro default__l2_distance(a, b) %}
  {{ return(tf_embeddings._unsupported('l2_distance')) }}
{% endmacro %}

{% macro _nearest_neighbors(
  query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
) %}
  {#
    The query of nearest_neighbors, whose arguments are checked: query_id, neighbor_id,
    cosine_similarity and neighbor_rank. Both sides are maps as _search_rows takes them.
  #}
  {{ return(adapter.dispatch('nearest_neighbors', 'tf_embeddings')(
    query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
  )) }}
{% endmacro %}

{% macro default__nearest_neighbors(
  query_rows, corpus_rows, k, model, filter, exclude_self, min_similarity
) %}
  {{ return(tf_embeddings._unsupported('nearest_neighbors')) }}
{% endmacro %}

{% macro _near_duplicates(rows, threshold) %}
  {#
    The query of near_duplicates, whose arguments are checked: id_a, id_b, cosine_similarity. `rows`
    is a map as _search_rows takes it.
  #}
  {{ return(adapter.dispatch('near_duplicates', 'tf_embeddings')(rows, threshold)) }}
{% endmacro %}

{% macro default__near_duplicates(rows, threshold) %}
  {{ return(tf_embeddings._unsupported('near_duplicates')) }}
{% endmacro %}

{# operations.sql #}

{% macro _inventory(pins, macro) %}
  {#
    What the warehouse has of the package, as a map; it is read, and nothing changes.
    place: where it was looked for, in words.
    notes: sentences on what could not be looked at.
    files: the staged artifacts, as maps of model, version, build and bytes; place, in words; drop,
      the statement that removes this file and nothing else, or none if there is no such statement;
      and age, in days, if the warehouse knows it.
    functions: as maps of model, version and build; place; drop; age; is_ours, whether the package
      created it; and is_named, whether a pin calls it with today's settings.
    pinned: for each pin a map of staged and function, in words; state, what follows from them; and
      is_ready, whether a run can call it.
  #}
  {{ return(adapter.dispatch('_inventory', 'tf_embeddings')(pins, macro)) }}
{% endmacro %}

{% macro default___inventory(pins, macro) %}
  {{ return(tf_embeddings._unsupported(macro)) }}
{% endmacro %}

{% macro _golden_report(pin, inventory, grant) %}
  {#
    What a staged artifact gives for its golden texts where it is deployed: the runtime's report, as
    JSON. `inventory` is that of _inventory; `grant` is false if _deploy follows, which grants the
    same.
  #}
  {{ return(adapter.dispatch('_golden_report', 'tf_embeddings')(pin, inventory, grant)) }}
{% endmacro %}

{% macro default___golden_report(pin, inventory, grant) %}
  {{ return(tf_embeddings._unsupported('verify')) }}
{% endmacro %}

{% macro _refusal(pin) %}
  {#
    Has the deployed model embed a word: none if it does, else a sentence on why it does not and
    what to do. Nothing changes.
  #}
  {{ return(adapter.dispatch('_refusal', 'tf_embeddings')(pin)) }}
{% endmacro %}

{% macro default___refusal(pin) %}
  {{ return(tf_embeddings._unsupported('status')) }}
{% endmacro %}

{% macro _copy_artifact(model, source) %}
  {#
    Copies an artifact to the stage from a different one, and prints its pin unless the project has
    it. `source` is a map: stage, a location that ends with /; folder, below it, empty or with / at
    its end; and file, or none for the one artifact of the model in this folder and those below.
  #}
  {{ return(adapter.dispatch('_copy_artifact', 'tf_embeddings')(model, source)) }}
{% endmacro %}

{% macro default___copy_artifact(model, source) %}
  {% do exceptions.raise_compiler_error(
    "stage_copy: target '" ~ target.name ~ "' is " ~ target.type ~ ", and only Snowflake has "
    ~ "stages to copy from. Stage the artifact's file itself: " ~ tf_embeddings._script() ~ " "
    ~ model ~ "-b….zip --target " ~ target.name
  ) %}
{% endmacro %}

{# hook.sql #}

{% macro _prepare_run(pins) %}
  {#
    The SQL that a run needs before its first model, for the pins that it embeds with; an empty text
    if it needs none. It only renders text: dbt compile renders hooks too.
  #}
  {{ return(adapter.dispatch('_prepare_run', 'tf_embeddings')(pins)) }}
{% endmacro %}

{% macro default___prepare_run(pins) %}
  {{ return(tf_embeddings._unsupported('embed')) }}
{% endmacro %}

{% macro _explain_failures(results) %}
  {#
    Warns of what to do if results of a run show that a model of the package cannot run. It sends
    nothing.
  #}
  {{ return(adapter.dispatch('_explain_failures', 'tf_embeddings')(results)) }}
{% endmacro %}

{% macro default___explain_failures(results) %}
  {{ return('') }}
{% endmacro %}

{# staging.sql #}

{% macro _staging_place(packages) %}
  {#
    Where the target keeps artifacts, as a map: stage, the place; engines, those that can run a
    model there; and warnings, a list, or left out. What would keep a function with these packages
    from being created is an error.
  #}
  {{ return(adapter.dispatch('_staging_place', 'tf_embeddings')(packages)) }}
{% endmacro %}

{% macro default___staging_place(packages) %}
  {{ return(tf_embeddings._unsupported('stage_model')) }}
{% endmacro %}

{% macro _staging_upload(path, pin, bytes, dry_run, resolved) %}
  {#
    Puts an artifact on the stage, unless it is there. A map: place; was_there; size, of the file
    that was there, or none; and broken, the functions that a file of the wrong size broke.
    `resolved` are the packages that _staging_place has checked. A warehouse that keeps artifacts in
    a folder needs no answer: the script copies them.
  #}
  {{ return(
    adapter.dispatch('_staging_upload', 'tf_embeddings')(path, pin, bytes, dry_run, resolved)
  ) }}
{% endmacro %}

{% macro default___staging_upload(path, pin, bytes, dry_run, resolved) %}
  {% do exceptions.raise_compiler_error(
    "stage_model: a " ~ target.type ~ " target has no stage to put files on."
  ) %}
{% endmacro %}

{% macro _staging_flags() %}
  {#
    The options of stage_model.py that reach this target, as a map: target, the name; and vars, the
    rest of the command.
  #}
  {{ return(adapter.dispatch('_staging_flags', 'tf_embeddings')()) }}
{% endmacro %}

{% macro default___staging_flags() %}
  {{ return({'target': target.name, 'vars': ''}) }}
{% endmacro %}

{% macro _deploy(pin, inventory) %}
  {#
    Creates the function of a staged artifact. Nothing, if functions come with the files.
    `inventory` is that of _inventory for this pin.
  #}
  {{ return(adapter.dispatch('_deploy', 'tf_embeddings')(pin, inventory)) }}
{% endmacro %}

{% macro default___deploy(pin, inventory) %}
  {{ return('') }}
{% endmacro %}

{# generic_tests.sql #}

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
    The sum of the squares of a vector's components, in double precision if there is any; finite
    only if every component is. NULL for a vector that is NULL or has a NULL component.
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
  {# A number that is the same for equal vectors and orders different ones as if by chance. #}
  {{ return(adapter.dispatch('_vector_hash', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___vector_hash(vector) %}
  {{ return(tf_embeddings._unsupported('embedding_no_collapse')) }}
{% endmacro %}

{% macro _golden_differences(matched) %}
  {#
    A query of id and largest_difference, the largest difference of a component, from the relation
    `matched` of id, embedding and golden_embedding, a JSON text. Infinite or NULL if the two do not
    compare: NULL, invalid JSON, another length, a component that is not a number.
  #}
  {{ return(adapter.dispatch('_golden_differences', 'tf_embeddings')(matched)) }}
{% endmacro %}

{% macro default___golden_differences(matched) %}
  {{ return(tf_embeddings._unsupported('embedding_matches_golden')) }}
{% endmacro %}

{% macro _drift(tested, baseline) %}
  {#
    CTEs that end in tf_embeddings_drift, one row: centroid_distance, mean_norm, baseline_mean_norm
    and norm_shift of the column embedding of two CTEs.
  #}
  {{ return(adapter.dispatch('_drift', 'tf_embeddings')(tested, baseline)) }}
{% endmacro %}

{% macro default___drift(tested, baseline) %}
  {{ return(tf_embeddings._unsupported('embedding_drift')) }}
{% endmacro %}

{# map.sql #}

{% macro _vector_json(vector) %}
  {# A vector as the text of a JSON list of its components. #}
  {{ return(adapter.dispatch('_vector_json', 'tf_embeddings')(vector)) }}
{% endmacro %}

{% macro default___vector_json(vector) %}
  {{ return(tf_embeddings._unsupported('map_embeddings')) }}
{% endmacro %}
