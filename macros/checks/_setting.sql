{% macro _setting(name, default, shape, allowed) %}
  {#
    One setting; at parse time the default for a value of the wrong shape, as embed explains.
    `shape` is the name of a shape, or the list of the values that there are.
  #}
  {% set value = tf_embeddings._scoped_var('tf_embeddings_' ~ name) %}
  {% if value is none %}
    {{ return(default) }}
  {% endif %}

  {% set plain_name = '[A-Za-z_][A-Za-z0-9_$]*' %}
  {% set fits = false %}
  {% if shape is not string %}
    {% set fits = value is not boolean and value in shape %}
  {% elif shape == 'mapping' %}
    {% set fits = value is mapping %}
  {% elif shape == 'sources' %}
    {% set fits = value is mapping or (value is sequence and value is not string) %}
  {% elif shape == 'count' %}
    {% set fits = value is integer and value is not boolean and value >= 1 %}
  {% elif shape == 'portion' %}
    {% set fits = value is integer and value is not boolean and value >= 0 %}
  {% elif shape == 'boolean' %}
    {% set fits = value is boolean %}
  {% elif shape == 'targets' %}
    {% set fits = value is boolean or (value and tf_embeddings._is_list_of_strings(value)) %}
  {% elif shape == 'rows' %}
    {% set fits = value is integer and value is not boolean and 1 <= value <= 4096 %}
  {% elif shape == 'identifiers' %}
    {% set is_list = tf_embeddings._is_list_of_strings(value) %}
    {% set wrong = [] %}
    {% for one in (value if is_list else []) if not tf_embeddings._is_identifier(one) %}
      {% do wrong.append(one) %}
    {% endfor %}
    {% set fits = is_list and not wrong %}
  {% elif value is string and value | trim %}
    {% if shape == 'identifier' %}
      {% set fits = tf_embeddings._is_identifier(value) %}
    {% elif shape == 'relation' %}
      {% set fits = 2 <= value.split('.') | length <= 3 %}
    {% elif shape == 'repository' %}
      {% set fits = modules.re.fullmatch(plain_name ~ ('[.]' ~ plain_name) * 2, value) %}
    {% else %}
      {% set fits = true %}
    {% endif %}
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
