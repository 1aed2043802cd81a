{% macro stage_copy(model=none, from=none) %}
  {#
    An operation: dbt run-operation tf_embeddings.stage_copy. It is for where no Python runs, or no
    file can be uploaded: all it sends is SQL.
  #}
  {% if model is not string or not modules.re.match('[a-z][a-z0-9_]{0,39}$', model) %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: model is " ~ tf_embeddings._quoted(model) ~ "; it must be the name of a model, "
      ~ "which its artifact's file name begins with: minilm of minilm-b0123456789ab.zip."
    ) %}
  {% endif %}
  {% set name = '(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)' %}
  {% set location = '(@' ~ name ~ '(?:[.]' ~ name ~ '){0,2})(/.*)?$' %}
  {% set match = modules.re.match(location, from) if from is string else none %}
  {% if not match or modules.re.search('[\\\\\\r\\n]|[$][$]', from) %}
    {% do exceptions.raise_compiler_error(
      "stage_copy: from is " ~ tf_embeddings._quoted(from) ~ "; it must be a folder or an artifact "
      ~ "on a named stage or a git repository, such as '@other_db.public.artifacts/models/', "
      ~ "without backslashes, $$ and line breaks."
    ) %}
  {% endif %}
  {% set path = (match.group(2) or '')[1:] %}
  {% set is_file = path.endswith('.zip') %}
  {% set parts = path.split('/') %}
  {% set folder = parts[:-1] if is_file or parts[-1] == '' else parts %}
  {% do tf_embeddings._copy_artifact(model, {
    'stage': match.group(1) ~ '/',
    'folder': folder | join('/') ~ ('/' if folder else ''),
    'file': parts[-1] if is_file else none,
  }) %}
{% endmacro %}
