{% macro _package_versions(repository) %}
  {#
    The versions that a function asks for where its pin names none. Snowflake would take the newest
    at the moment of its creation, so that two functions of one build would run different code.
    PyPI's are those of requirements-dev.lock, Anaconda's those of requirements-anaconda.lock: what
    the package's tests run. NumPy 2.4 is the newest for all of Python 3.11 to 3.13.
  #}
  {% if repository | lower == 'snowflake.snowpark.anaconda_shared_repository' %}
    {{ return({
      'numpy': '1.26.4',
      'pandas': '2.1.4',
      'sentencepiece': '0.1.99',
      'tensorflow': '2.17.0',
      'tokenizers': '0.19.1',
    }) }}
  {% endif %}
  {{ return({
    'ai-edge-litert': '2.3.0',
    'backports-strenum': '1.2.8',
    'flatbuffers': '25.12.19',
    'ml-dtypes': '0.6.0',
    'numpy': '2.4.6',
    'pandas': '3.1.1',
    'protobuf': '6.33.6',
    'sentencepiece': '0.2.3',
    'tensorflow': '2.21.0',
    'tensorflow-text': '2.21.1',
    'tokenizers': '0.23.3',
    'tqdm': '4.70.1',
    'typing-extensions': '4.16.0',
  }) }}
{% endmacro %}
