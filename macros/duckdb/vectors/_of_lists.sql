{% macro _of_lists(function, a, b) %}
  {#
    A function of two vectors, by DuckDB's functions of lists, because vectors are FLOAT[] or
    DOUBLE[] where they come from Parquet or a Python model. Two of different lengths are an error.
    These functions refuse NULLs, and also see those that an ARRAY or a file left where a vector is
    NULL; `|| []` copies what belongs to vectors alone. Among pairs of 384 dimensions that takes as
    long as the similarity itself, so the searches copy each vector once, before they meet.
    https://duckdb.org/docs/stable/sql/functions/list
  #}
  {{ return(function ~ '(' ~ tf_embeddings._as_list(a) ~ ', ' ~ tf_embeddings._as_list(b) ~ ')') }}
{% endmacro %}
