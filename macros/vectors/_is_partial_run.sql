{% macro _is_partial_run() %}
  {#
    Whether dbt builds no rows (--empty) or some (--sample), so that what is missing is no failure.
  #}
  {{ return(flags.EMPTY or invocation_args_dict.get('sample') is not none) }}
{% endmacro %}
