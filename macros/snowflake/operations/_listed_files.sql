{% macro _listed_files() %}
  {#
    The artifacts on the stage, as _inventory explains; other files are not the package's. LIST
    gives names that begin with the stage's own. REMOVE takes all files whose names begin as the one
    that it is given, so an artifact with such neighbors cannot be dropped.
    https://docs.snowflake.com/en/sql-reference/sql/list
    https://docs.snowflake.com/en/sql-reference/sql/remove
  #}
  {% set stage = tf_embeddings._stored_name(tf_embeddings._settings().stage) %}
  {% set paths = [] %}
  {% set listed = {} %}
  {% for row in tf_embeddings._rows('list ' ~ tf_embeddings._stage_location()) %}
    {% if (row.name | lower).startswith(stage | lower ~ '/') %}
      {% set path = row.name[stage | length + 1:] %}
      {% do paths.append(path) %}
      {% do listed.update({path: row}) %}
    {% endif %}
  {% endfor %}

  {% set files = [] %}
  {% for path in paths %}
    {% set match = modules.re.fullmatch(
      '([a-z][a-z0-9_]{0,39})/(v[0-9a-f]{12})/\\1-(b[0-9a-f]{12})[.]zip', path
    ) %}
    {% if match %}
      {% set neighbors = [] %}
      {% for other in paths if other != path and other.startswith(path) %}
        {% do neighbors.append(other) %}
      {% endfor %}
      {% set location = tf_embeddings._stage_location(path) %}
      {% do files.append({
        'model': match.group(1),
        'version': match.group(2),
        'build': match.group(3),
        'bytes': listed[path].size | int,
        'place': location,
        'drop': none if neighbors else 'remove ' ~ location,
        'age': tf_embeddings._age_in_days(listed[path].last_modified),
      }) %}
    {% endif %}
  {% endfor %}
  {{ return(files) }}
{% endmacro %}
