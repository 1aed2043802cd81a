{% macro _packages(pin) %}
  {# What PACKAGES of a function lists: the pin's packages and pandas, with versions, sorted. #}
  {% set versions = tf_embeddings._package_versions(
    tf_embeddings._settings().artifact_repository
  ) %}
  {% set asked = {'pandas': 'pandas'} %}
  {% for package in pin.packages %}
    {% do asked.update({package.split('==') | first | lower: package}) %}
  {% endfor %}

  {% set packages = [] %}
  {% for name, package in asked | dictsort %}
    {% set is_known = '==' not in package and name in versions %}
    {% do packages.append(package ~ '==' ~ versions[name] if is_known else package) %}
  {% endfor %}
  {{ return(packages) }}
{% endmacro %}
