{% macro _of_lists(function, a, b) %}
  {#
    A function of two vectors, by DuckDB's functions of lists, because vectors are FLOAT[] or
    DOUBLE[] where they come from Parquet or a Python model. Two of different lengths are an error.
    An ARRAY is cast, and one that is NULL becomes a list of NULLs, which they refuse: so a column
    is looked at before, and an expression, not to be evaluated twice, is copied by `|| []`. Among
    pairs of 384 dimensions the former took no time, the latter as much as the similarity itself.
    https://duckdb.org/docs/stable/sql/functions/list
  #}
  {% set name = '([A-Za-z_][A-Za-z0-9_$]*|"([^"]|"")+")' %}
  {% set conditions, vectors = [], [] %}
  {% for vector in [a, b] %}
    {% if modules.re.match(name ~ '([.]' ~ name ~ ')*$', vector) %}
      {% do conditions.append(vector ~ ' is not null') %}
      {% do vectors.append(vector) %}
    {% else %}
      {% do vectors.append('((' ~ vector ~ ') || [])') %}
    {% endif %}
  {% endfor %}
  {% set call = function ~ '(' ~ vectors | join(', ') ~ ')' %}
  {% if not conditions %}
    {{ return(call) }}
  {% endif %}
  {{ return('case when ' ~ conditions | join(' and ') ~ ' then ' ~ call ~ ' end') }}
{% endmacro %}
