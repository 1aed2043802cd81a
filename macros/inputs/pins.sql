{% macro _pin(model=none, macro='embed', takes='vectors') %}
  {#
    The pin of `model`, or of the default model if it is none, as _checked_pin returns it. Unless
    `takes` is 'any', a model that gives no vectors is an error.
  #}
  {% set settings = tf_embeddings._settings() %}
  {% set names = settings.models | list | join(', ') %}
  {% set stage_it = tf_embeddings._script()
    ~ " and add its pin to dbt_project.yml (or vars.yml)." %}

  {% if model is not none and (model is not string or not model) %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model is " ~ tf_embeddings._quoted(model)
      ~ "; it must be the name of a model in quotes, such as "
      ~ tf_embeddings._model_argument(macro, 'minilm')
      ~ ", or be left out for the default model."
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
      macro ~ ": var tf_embeddings_models has several models (" ~ names ~ "). Pass "
      ~ tf_embeddings._model_argument(macro, '…')
      ~ ", or name one in var tf_embeddings_default_model."
    ) %}
  {% endif %}
  {% if model is none and settings.default_model not in settings.models %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": var tf_embeddings_default_model is '" ~ settings.default_model ~ "', which is not "
      ~ "in var tf_embeddings_models (it has: " ~ names
      ~ "). Correct the name, or stage it with " ~ stage_it
    ) %}
  {% endif %}
  {% if model is not none and model not in settings.models %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model '" ~ model ~ "' is not in var tf_embeddings_models (it has: " ~ names
      ~ "). Correct the name, or stage it with " ~ stage_it
    ) %}
  {% endif %}

  {% set name = settings.default_model if model is none else model %}
  {% set pin = tf_embeddings._checked_pin(name, settings.models[name], macro) %}
  {% if pin.kind == 'pairs' and takes != 'any' %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model '" ~ name ~ "' is a cross-encoder: it scores a query and a text together, "
      ~ "and gives no vectors. Call rerank(query, text, model='" ~ name ~ "'), or name a model "
      ~ "that is not of kind pairs with " ~ tf_embeddings._model_argument(macro, '…') ~ "."
    ) %}
  {% endif %}
  {{ return(pin) }}
{% endmacro %}

{% macro _model_argument(macro, name) %}
  {# How the caller of _pin is told a model: a script by an option, a data test in YAML. #}
  {% if macro == 'map_embeddings' %}
    {{ return('--embedding-model ' ~ name) }}
  {% elif macro in [
    'embedding_coverage', 'embedding_dimension', 'embedding_version_is_current',
    'text_is_not_truncated'
  ] %}
    {{ return('embedding_model: ' ~ name) }}
  {% endif %}
  {{ return("model='" ~ name ~ "'") }}
{% endmacro %}

{% macro _script() %}
  {# The path of stage_model.py, to be named in a sentence. #}
  {{ return(tf_embeddings._package_folder().folder ~ '/scripts/stage_model.py') }}
{% endmacro %}

{% macro _copy_the_pin() %}
  {# What to do about a pin that is wrong. #}
  {{ return(
    "Copy the pin that " ~ tf_embeddings._script() ~ " prints into dbt_project.yml (or vars.yml)."
  ) }}
{% endmacro %}

{% macro _pins(macro) %}
  {#
    All pins of the project, checked. A node that was parsed with a different pin is an error:
    otherwise what it uses would look unused.
  #}
  {% set pins = [] %}
  {% for node in graph.nodes.values() %}
    {% for name, mark in tf_embeddings._models_of_node(node).items() if mark %}
      {% do tf_embeddings._marked_pin(node, name, mark) %}
    {% endfor %}
  {% endfor %}
  {% for name in tf_embeddings._settings().models %}
    {% do pins.append(tf_embeddings._pin(name, macro, takes='any')) %}
  {% endfor %}
  {{ return(pins) }}
{% endmacro %}

{% macro _checked_pin(name, pin, macro) %}
  {#
    A pin as a map: model, version, build, dimensions, kind, packages; and bytes, the size of the
    file, which pins of 0.1 lack. Every part is checked, because it becomes part of SQL.
  #}
  {% set fullmatch = modules.re.fullmatch %}

  {% if name is not string or not fullmatch('[a-z][a-z0-9_]{0,39}', name) %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": '" ~ name ~ "' in var tf_embeddings_models is not a model's name; it must be a "
      ~ "lower case letter and at most 39 lower case letters, digits and underscores. "
      ~ tf_embeddings._copy_the_pin()
    ) %}
  {% endif %}
  {% if pin is not mapping %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model '" ~ name ~ "' in var tf_embeddings_models is " ~ tf_embeddings._quoted(pin)
      ~ "; it must be a map of version, build, dimensions, kind and packages. "
      ~ tf_embeddings._copy_the_pin()
    ) %}
  {% endif %}

  {% set dimensions, most = pin.dimensions, tf_embeddings._most_dimensions() %}
  {% if most is not none and dimensions is integer and dimensions > most %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": the pin of model '" ~ name ~ "' in var tf_embeddings_models has dimensions "
      ~ dimensions ~ "; a vector has at most " ~ most ~ " on " ~ target.type ~ ". Stage the model "
      ~ "again with --truncate-dim " ~ most ~ ", or choose a model of fewer dimensions."
    ) %}
  {% endif %}
  {% set fits = tf_embeddings._pin_parts(pin) %}
  {% set allowed = {
    'version': "'v' and 12 hex digits",
    'build': "'b' and 12 hex digits",
    'dimensions': 'a whole number from 1 to ' ~ most,
    'kind': 'text, tokens, sentencepiece, static or pairs',
    'packages': "a list of Python packages, such as [numpy, 'tensorflow==2.21.0']",
    'bytes': 'the size of the file, a whole number from 1',
  } %}
  {% for part in fits if not fits[part] %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": the pin of model '" ~ name ~ "' in var tf_embeddings_models has "
      ~ (part ~ " " ~ tf_embeddings._quoted(pin[part]) if part in pin else "no " ~ part)
      ~ "; it must be " ~ allowed[part] ~ ". " ~ tf_embeddings._copy_the_pin()
    ) %}
  {% endfor %}

  {{ return(dict(pin, model=name)) }}
{% endmacro %}

{% macro _pin_parts(pin) %}
  {# Which parts of a pin are as they must be. #}
  {% set fullmatch = modules.re.fullmatch %}
  {% set version, build, packages = pin.version, pin.build, pin.packages %}
  {% set dimensions, most = pin.dimensions, tf_embeddings._most_dimensions() %}
  {{ return({
    'version': version is string and fullmatch('v[0-9a-f]{12}', version),
    'build': build is string and fullmatch('b[0-9a-f]{12}', build),
    'dimensions': dimensions is integer and dimensions >= 1
      and (most is none or dimensions <= most),
    'kind': pin.kind in ['text', 'tokens', 'sentencepiece', 'static', 'pairs'],
    'packages': tf_embeddings._is_list_of_strings(packages) and fullmatch(
      '([A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.+!]+)?,)*', packages | join(',') ~ ','
    ),
    'bytes': 'bytes' not in pin
      or (pin['bytes'] is integer and pin['bytes'] is not boolean and pin['bytes'] >= 1),
  }) }}
{% endmacro %}

{% macro _is_parsing(name) %}
  {#
    Whether dbt parses a node, so that what a macro returns never runs. dbt v2 also renders the SQL
    of a unit test's fixture without `execute`, but without a node, and that SQL runs: it gets the
    real thing, unless the pin of the model `name` is wrong, which the node itself reports.
  #}
  {% if execute or model is defined %}
    {{ return(not execute) }}
  {% endif %}
  {% set settings = tf_embeddings._settings() %}
  {% set pin = settings.models.get(settings.default_model if name is none else name) %}
  {% if pin is not mapping %}
    {{ return(true) }}
  {% endif %}
  {% set parts = tf_embeddings._pin_parts(pin) %}
  {% for part in parts if not parts[part] %}
    {{ return(true) }}
  {% endfor %}
  {{ return(false) }}
{% endmacro %}
