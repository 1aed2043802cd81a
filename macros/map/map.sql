{% macro _map_rows(
  model, key, text, embedding, labels, version, embedding_model, limit, table
) %}
  {#
    Reads the rows of a map for scripts/map_embeddings.py, and answers with lines of the log: pages
    of rows, as lists of key, text, labels and vector, then what was read. `key`, `text` and
    `version` are columns, or none for the usual one; `table`, the name of a table to be written, is
    only checked.

    Rows are in the order of their key's hash: a sample is the same on every run and warehouse. Each
    text begins with '=', because dbt reads the texts 'null' and '' as NULL.
  #}
  {% set relation = tf_embeddings._map_relation(model) %}
  {% set pin = tf_embeddings._pin(embedding_model, 'map_embeddings') %}
  {% set found = tf_embeddings._map_columns(relation, key, text, embedding, labels, version) %}
  {% do tf_embeddings._map_table(table) if table is not none %}
  {% set key = tf_embeddings._map_quoted(found.key) %}
  {% set vector = tf_embeddings._map_quoted(found.embedding) %}
  {% set has_vector = vector ~ ' is not null' %}
  {% set is_pinned = tf_embeddings._map_quoted(found.version) ~ " = '" ~ pin.version ~ "'" %}
  {% set count %}
select
  count(*) as vectors,
  count(case when {{ is_pinned }} then 1 end) as pinned,
  count(distinct case when {{ is_pinned }} then cast({{ key }} as varchar) end) as keys
from {{ relation }}
where {{ has_vector }}
  {% endset %}
  {% set counted = run_query(count).rows[0] %}
  {% set vectors, pinned, keys = counted[0] | int, counted[1] | int, counted[2] | int %}
  {% do tf_embeddings._check_map(relation, found, pin, vectors, pinned, keys, has_vector) %}

  {% set rows, page = [pinned, limit] | min, 2000 %}
  {% for start in range(0, rows, page) %}
    {% set sql %}
select
  '=' || cast({{ key }} as varchar) as map_key,
  '=' || cast({{ tf_embeddings._map_quoted(found.text) }} as varchar) as map_text,
    {%- for label in found.labels %}
  '=' || cast({{ tf_embeddings._map_quoted(label) }} as varchar) as map_label_{{ loop.index }},
    {%- endfor %}
  {{ tf_embeddings._vector_json(vector) }} as map_vector
from {{ relation }}
where {{ has_vector }} and {{ is_pinned }}
order by {{ tf_embeddings.text_hash('cast(' ~ key ~ ' as varchar)') }}
limit {{ [page, rows - start] | min }} offset {{ start }}
    {% endset %}
    {% set lists = [] %}
    {% for row in run_query(sql).rows %}
      {% do lists.append(row.values() | list) %}
    {% endfor %}
    {% do log('tf_embeddings_answer ' ~ tojson({'rows': lists}), info=true) %}
  {% endfor %}
  {% do log('tf_embeddings_answer ' ~ tojson({
    'rows_with_vectors': vectors,
    'rows_of_the_version': pinned,
    'rows': rows,
    'version': pin.version,
    'embedding_model': pin.model,
    'key': found.key,
    'text': found.text,
    'labels': found.labels,
    'connection': {
      'profiles_dir': flags.PROFILES_DIR | string if flags.PROFILES_DIR else none,
      'profile': target.profile_name,
      'target': target.name,
      'place': tf_embeddings._map_place(),
    },
  }), info=true) %}
{% endmacro %}

{% macro _map_quoted(name) %}
  {# A column's name in quotes; dbt's own quote leaves those inside it as they are. #}
  {{ return(adapter.quote(name | replace('"', '""'))) }}
{% endmacro %}

{% macro _map_place() %}
  {# What tells the target's database from others; scripts/tf_embeddings_map/tables.py compares. #}
  {% set place = {} %}
  {% for part in ['type', 'account', 'host', 'path', 'database', 'schema'] %}
    {% do place.update({part: target.get(part) | string}) %}
  {% endfor %}
  {{ return(place) }}
{% endmacro %}

{% macro _map_relation(model) %}
  {#
    The relation of a model, seed or snapshot by a unique name: its name, with the version or the
    package if others share it. Not by ref(): in an operation, ref() starts from this package.
  #}
  {% set found, names = [], [] %}
  {% for node in graph.nodes.values() if node.resource_type in ['model', 'seed', 'snapshot'] %}
    {% do names.append(node.name) %}
    {% set own = [node.name] %}
    {% if node.get('version') is not none %}
      {% do own.append(node.name ~ '.v' ~ node.version) %}
    {% endif %}
    {% set of_package = [] %}
    {% for name in own %}
      {% do of_package.append(node.package_name ~ '.' ~ name) %}
    {% endfor %}
    {% if model in own + of_package %}
      {% do found.append(node) %}
    {% endif %}
  {% endfor %}
  {% if found | length != 1 %}
    {% set ids = found | map(attribute='unique_id') | sort | join(', ') %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: --model is '" ~ model ~ "', "
      ~ ("which is the name of " ~ ids ~ ". Write it as package.model or model.v1." if found else
        "which is not a model, seed or snapshot of this project (it has: "
        ~ (names | unique | sort | join(', ') or 'none') ~ "). Name the model with the vectors.")
    ) %}
  {% endif %}
  {% set node = found[0] %}
  {% if node.config.materialized == 'ephemeral' %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: model '" ~ model ~ "' is ephemeral, so there is no table to read. "
      ~ "Materialize it as a table, in " ~ node.original_file_path ~ "."
    ) %}
  {% endif %}
  {% set relation = load_relation(
    api.Relation.create(node.database, node.schema, node.alias)
  ) %}
  {% if relation is none %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: model '" ~ model ~ "' is not built on target '" ~ target.name ~ "'. Build "
      ~ "it: dbt build --select +" ~ node.name
    ) %}
  {% endif %}
  {{ return(relation) }}
{% endmacro %}

{% macro _map_columns(relation, key, text, embedding, labels, version) %}
  {#
    The columns of a map, by their names in the warehouse: key, text, embedding, version and
    labels. The key is `id`, or else the first column; the text is the column with the longest
    texts, among those with no other part.
  #}
  {% set known, texts = [], [] %}
  {% for column in adapter.get_columns_in_relation(relation) %}
    {% do known.append(column.name) %}
    {% set type = column.dtype | lower %}
    {% do texts.append(column.name) if 'char' in type or 'text' in type or 'string' in type %}
  {% endfor %}
  {% set asked = {
    '--embedding': embedding, '--version-column': version, '--key': key, '--text': text
  } %}
  {% set columns = {} %}
  {% for option, name in asked.items() if name is not none %}
    {% do columns.update({
      option: tf_embeddings._map_column(relation, known, option, name)
    }) %}
  {% endfor %}
  {% set found_labels = [] %}
  {% for label in labels %}
    {% do found_labels.append(
      tf_embeddings._map_column(relation, known, '--label', label)
    ) %}
  {% endfor %}

  {% set lower = known | map('lower') | list %}
  {% if key is none %}
    {% do columns.update({'--key': known[lower.index('id') if 'id' in lower else 0]}) %}
  {% endif %}
  {% if text is none %}
    {% set others = (columns.values() | list) + found_labels %}
    {% set candidates = texts | reject('in', others) | list %}
    {% if not candidates %}
      {% do exceptions.raise_compiler_error(
        "map_embeddings: " ~ relation.identifier ~ " has no column of texts besides "
        ~ others | join(', ') ~ ". Name the column to show with --text."
      ) %}
    {% endif %}
    {% set lengths = [] %}
    {% for column in candidates %}
      {% do lengths.append('avg(length(' ~ tf_embeddings._map_quoted(column) ~ '))') %}
    {% endfor %}
    {% set averages = run_query(
      'select ' ~ lengths | join(', ') ~ ' from ' ~ relation
    ).rows[0].values() %}
    {% set best = namespace(column=candidates[0], length=-1) %}
    {% for average in averages %}
      {% if average is not none and average | float > best.length %}
        {% set best.column = candidates[loop.index0] %}
        {% set best.length = average | float %}
      {% endif %}
    {% endfor %}
    {% do columns.update({'--text': best.column}) %}
  {% endif %}
  {{ return({
    'key': columns['--key'],
    'text': columns['--text'],
    'embedding': columns['--embedding'],
    'version': columns['--version-column'],
    'labels': found_labels,
  }) }}
{% endmacro %}

{% macro _map_column(relation, known, option, name) %}
  {# A column as the warehouse writes it: the same name, or else the same but for case. #}
  {% set found = [] %}
  {% for column in known %}
    {% do found.append(column) if column == name %}
  {% endfor %}
  {% for column in known %}
    {% do found.append(column) if column | lower == name | lower %}
  {% endfor %}
  {% if not found %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: " ~ relation.identifier ~ " has no column " ~ name ~ " (it has: "
      ~ known | join(', ') ~ "). Name the column in " ~ option
      ~ (", or select {{ tf_embeddings.embedding_version() }} as " ~ name ~ " there, beside the "
        ~ "vectors: vectors of two versions must not be on one map" if option == '--version-column'
        else "")
      ~ "."
    ) %}
  {% endif %}
  {{ return(found[0]) }}
{% endmacro %}

{% macro _check_map(relation, found, pin, vectors, pinned, keys, has_vector) %}
  {# Refuses a table without vectors of the pinned version, and a key that is not unique. #}
  {% set name = relation.identifier %}
  {% if not vectors %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: no row of " ~ name ~ " has a vector in column " ~ found.embedding
      ~ ". Name the column in --embedding, or build the vectors with dbt build."
    ) %}
  {% endif %}
  {% if not pinned %}
    {% set version = tf_embeddings._map_quoted(found.version) %}
    {% set versions = [] %}
    {% for row in run_query(
      'select ' ~ version ~ ', count(*) from ' ~ relation ~ ' where ' ~ has_vector
      ~ ' group by 1 order by 2 desc, 1 limit 5'
    ).rows %}
      {% do versions.append((row[0] or 'NULL') ~ ' in ' ~ row[1] | int ~ ' rows') %}
    {% endfor %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: no vector of " ~ name ~ " has the version " ~ pin.version ~ ", which is "
      ~ "pinned for " ~ pin.model ~ " (" ~ found.version ~ " is " ~ versions | join(', ') ~ "). "
      ~ "Build the table again, or name its model with --embedding-model."
    ) %}
  {% endif %}
  {% if keys != pinned %}
    {% do exceptions.raise_compiler_error(
      "map_embeddings: the key " ~ found.key ~ " of " ~ name ~ " has " ~ keys ~ " values in "
      ~ pinned ~ " rows, and it must be different in each. Name a unique column with --key."
    ) %}
  {% endif %}
{% endmacro %}

{% macro _map_table(table) %}
  {# Refuses to write a map over anything but a map. #}
  {% set database, schema = target.database, target.schema %}
  {% for node in (graph.nodes.values() | list) + (graph.sources.values() | list) %}
    {% set name = node.get('identifier') or node.get('alias') or node.name %}
    {% if name | lower == table | lower and node.get('schema') | lower == schema | lower
      and node.resource_type in ['model', 'seed', 'snapshot', 'source'] %}
      {% do exceptions.raise_compiler_error(
        "map_embeddings: --table is '" ~ table ~ "', which is the table of " ~ node.unique_id
        ~ ". Give the map a name of its own."
      ) %}
    {% endif %}
  {% endfor %}
  {% set existing = load_relation(api.Relation.create(database, schema, table)) %}
  {% if existing is not none %}
    {% set columns = adapter.get_columns_in_relation(existing) | map(attribute='name')
      | map('lower') | list %}
    {% if columns[:3] != ['key', 'x', 'y'] or (columns | last) != 'text' %}
      {% do exceptions.raise_compiler_error(
        "map_embeddings: --table is '" ~ table ~ "', a table that is not a map (it has: "
        ~ columns | join(', ') ~ "). Drop it, or give the map a different name."
      ) %}
    {% endif %}
  {% endif %}
{% endmacro %}
