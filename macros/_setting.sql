{% macro _setting(name, default, shape, allowed) %}
  {# One setting; at parse time the default for a value of the wrong shape, as embed explains. #}
  {% set value = var('tf_embeddings_' ~ name, none) %}
  {% if value is none %}
    {{ return(default) }}
  {% endif %}

  {% if shape == 'mapping' %}
    {% set fits = value is mapping %}
  {% elif shape == 'string' %}
    {% set fits = value is string and value | trim %}
  {% endif %}
  {% if fits %}
    {{ return(value) }}
  {% endif %}

  {% if execute %}
    {% do exceptions.raise_compiler_error(
      "tf_embeddings: var tf_embeddings_" ~ name ~ " is " ~ value | pprint ~ "; it must be "
      ~ allowed ~ ". Change it under vars in dbt_project.yml, or in --vars."
    ) %}
  {% endif %}
  {{ return(default) }}
{% endmacro %}
