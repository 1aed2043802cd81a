{% macro _checked_pin(name, pin, macro) %}
  {#
    A pin as a map of: model, version, build, dimensions, kind, packages; and bytes, the size of the
    file, which a pin of 0.1 does not have. All of it is checked here, because it becomes names and
    literals of SQL.
  #}
  {% set fullmatch = modules.re.fullmatch %}
  {% set next_step = "Copy the pin that scripts/stage_model.py prints into dbt_project.yml." %}

  {% if name is not string or not fullmatch('[a-z][a-z0-9_]{0,39}', name) %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": '" ~ name ~ "' in var tf_embeddings_models is not a model's name; it must be a "
      ~ "lower case letter and at most 39 lower case letters, digits and underscores. " ~ next_step
    ) %}
  {% endif %}
  {% if pin is not mapping %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": model '" ~ name ~ "' in var tf_embeddings_models is " ~ pin | pprint
      ~ "; it must be a map of version, build, dimensions, kind and packages. " ~ next_step
    ) %}
  {% endif %}

  {% set version, build, kind, packages = pin.version, pin.build, pin.kind, pin.packages %}
  {% set fits = {
    'version': version is string and fullmatch('v[0-9a-f]{12}', version),
    'build': build is string and fullmatch('b[0-9a-f]{12}', build),
    'dimensions': pin.dimensions is integer and 1 <= pin.dimensions <= 4096,
    'kind': kind in ['text', 'tokens', 'sentencepiece'],
    'packages': tf_embeddings._is_list_of_strings(packages) and fullmatch(
      '([A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.+!]+)?,)*', packages | join(',') ~ ','
    ),
    'bytes': 'bytes' not in pin
      or (pin['bytes'] is integer and pin['bytes'] is not boolean and pin['bytes'] >= 1),
  } %}
  {% set allowed = {
    'version': "'v' and 12 hex digits",
    'build': "'b' and 12 hex digits",
    'dimensions': 'a whole number from 1 to 4096',
    'kind': 'text, tokens or sentencepiece',
    'packages': "a list of Python packages, such as [numpy, 'tensorflow==2.21.0']",
    'bytes': 'the size of the file, a whole number from 1',
  } %}
  {% for part in fits if not fits[part] %}
    {% do exceptions.raise_compiler_error(
      macro ~ ": the pin of model '" ~ name ~ "' in var tf_embeddings_models has "
      ~ (part ~ " " ~ pin[part] | pprint if part in pin else "no " ~ part)
      ~ "; it must be " ~ allowed[part] ~ ". " ~ next_step
    ) %}
  {% endfor %}

  {{ return(dict(pin, model=name)) }}
{% endmacro %}
