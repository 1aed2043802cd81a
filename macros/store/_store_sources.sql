{% macro _store_sources(sources, macro) %}
  {#
    The sources of a store, checked, as a list of maps, one for each relation and condition: kind
    (ref, source or relation), name, as it was written; where, or none; and columns, those of all
    entries of the relation with this condition.
  #}
  {% set allowed = "; it must be a map, or a list of maps, of ref, source or relation, and column "
    ~ "or columns, such as {'ref': 'tickets', 'column': 'body'}; where, a condition on its rows, "
    ~ "may be there too." %}
  {% set entries = [sources] if sources is mapping else sources %}
  {% if entries is string or entries is not sequence or not entries %}
    {% do exceptions.raise_compiler_error(macro ~ ": sources is " ~ sources | pprint ~ allowed) %}
  {% endif %}

  {% set found = {} %}
  {% for entry in entries %}
    {% set said = macro ~ ": sources has " ~ entry | pprint %}
    {% if entry is not mapping %}
      {% do exceptions.raise_compiler_error(said ~ allowed) %}
    {% endif %}
    {% set kinds = ['ref', 'source', 'relation'] | select('in', entry) | list %}
    {% set lists = ['column', 'columns'] | select('in', entry) | list %}
    {% set keys = 3 if 'where' in entry else 2 %}
    {% if kinds | length != 1 or lists | length != 1 or entry | length != keys %}
      {% do exceptions.raise_compiler_error(said ~ allowed) %}
    {% endif %}
    {% set kind, name, columns = kinds[0], entry[kinds[0]], entry[lists[0]] %}
    {% set columns = [columns] if lists[0] == 'column' else columns %}
    {% set is_pair = tf_embeddings._is_list_of_strings(name) and name | length == 2 %}
    {% set is_name = is_pair or (kind == 'ref' and name is string) or kind == 'relation' %}
    {% if not name or not is_name %}
      {% do exceptions.raise_compiler_error(
        said ~ "; ref must be a model's name, or its package and its name, source a pair of source "
        ~ "and table."
      ) %}
    {% endif %}
    {% if not columns or not tf_embeddings._is_list_of_strings(columns) %}
      {% do exceptions.raise_compiler_error(
        said ~ "; column must be a column or a SQL expression in quotes, columns a list of them."
      ) %}
    {% endif %}
    {% set where = entry.get('where') %}
    {% if 'where' in entry and (where is not string or not where | trim) %}
      {% do exceptions.raise_compiler_error(
        said ~ "; where must be a SQL condition in quotes, such as \"language = 'en'\"."
      ) %}
    {% endif %}
    {% set one = {'kind': kind, 'name': name, 'where': where, 'columns': []} %}
    {% set one = found.setdefault(kind ~ ' ' ~ name ~ ' ' ~ (where or ''), one) %}
    {% do one.columns.extend(columns) %}
  {% endfor %}
  {{ return(found.values() | list) }}
{% endmacro %}
