{% macro _package_name(package) %}
  {#
    The name of a package of a pin, without its version, as all ways to write it agree.
    https://packaging.python.org/en/latest/specifications/name-normalization/
  #}
  {{ return(modules.re.sub('[-_.]+', '-', package.split('==') | first) | lower) }}
{% endmacro %}
