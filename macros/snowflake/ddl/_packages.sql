{% macro _packages(pin) %}
  {#
    What PACKAGES of a function lists: the pin's packages and pandas, with versions, sorted. No page
    says whether PyPI's repository adds what a package needs, nor which version of it: so what
    LiteRT needs, by its own metadata, is named too, and the list resolves either way.
  #}
  {% set versions = tf_embeddings._package_versions(
    tf_embeddings._settings().artifact_repository
  ) %}
  {% set asked = {} %}
  {% for package in pin.packages %}
    {% do asked.update({tf_embeddings._package_name(package): package}) %}
  {% endfor %}
  {% set needed = ['pandas'] %}
  {% if 'ai-edge-litert' in asked %}
    {% do needed.extend([
      'backports-strenum', 'flatbuffers', 'ml-dtypes', 'numpy', 'protobuf', 'tqdm',
      'typing-extensions',
    ]) %}
  {% endif %}
  {% for name in needed if name not in asked %}
    {% do asked.update({name: name}) %}
  {% endfor %}

  {% set packages = [] %}
  {% for name, package in asked | dictsort %}
    {% set is_known = '==' not in package and name in versions %}
    {% do packages.append(package ~ '==' ~ versions[name] if is_known else package) %}
  {% endfor %}
  {{ return(packages) }}
{% endmacro %}
