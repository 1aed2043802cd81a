{% macro _created_functions() %}
  {#
    The functions of the schema that are named and called as the package's are, as maps of: name,
    model, version, build; is_ours, whether their comment says so too; place, drop and age as
    _inventory explains. An embedding function takes arguments, a check function none, so a model
    named verify_… is not taken for a check.
    https://docs.snowflake.com/en/sql-reference/sql/show-user-functions
  #}
  {% set schema = tf_embeddings._schema_name() %}
  {% set built = '([A-Z][A-Z0-9_]{0,39})_(B[0-9A-F]{12})_[0-9A-F]{8}' %}
  {% set functions = [] %}
  {% set show = "show user functions like 'tf_embeddings_%' in schema " ~ schema %}
  {% for row in tf_embeddings._rows(show) %}
    {% set signature = tf_embeddings._signature(row) %}
    {% set is_check = signature == '()' %}
    {% set match = modules.re.fullmatch(
      'TF_EMBEDDINGS_' ~ ('VERIFY_' if is_check else '') ~ built, row.name
    ) %}
    {% if match and signature in ['()', '(varchar, boolean)'] %}
      {% set comment = row.description | string %}
      {% set version = modules.re.search('version (v[0-9a-f]{12})', comment) %}
      {% set call = schema ~ '.' ~ row.name | lower ~ signature %}
      {% do functions.append({
        'name': row.name | lower,
        'model': match.group(1) | lower,
        'version': version.group(1) if version else '',
        'build': match.group(2) | lower,
        'is_ours': comment.startswith('tf_embeddings:'),
        'place': call,
        'drop': 'drop function if exists ' ~ call,
        'age': tf_embeddings._age_in_days(row.created_on),
      }) %}
    {% endif %}
  {% endfor %}
  {{ return(functions) }}
{% endmacro %}
