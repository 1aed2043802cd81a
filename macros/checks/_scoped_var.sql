{% macro _scoped_var(name) %}
  {#
    A var with the value that it has for the whole project, whichever package's node or macro asks.
    dbt shows what stands below `vars: my_project:` to the nodes of that package alone, so that a
    model and the hook would read two values; but every node sees the scope itself, as a var of the
    package's name. What dbt is called with goes first, and what a unit test overrides.
  #}
  {% set overrides = (model.get('overrides') if model is mapping else none) or {} %}
  {% if name in (invocation_args_dict.vars or {}) or name in (overrides.vars or {}) %}
    {{ return(var(name, none)) }}
  {% endif %}

  {% set package = model.package_name if model is mapping else project_name %}
  {% set found = {} %}
  {% for scope in [package, project_name, 'tf_embeddings'] %}
    {% set scoped = var(scope, none) %}
    {% if scoped is mapping and name in scoped %}
      {% set value = scoped[name] %}
      {% do found.update({scope: render(value) if value is string else value}) %}
    {% endif %}
  {% endfor %}
  {% if not found %}
    {{ return(var(name, none)) }}
  {% endif %}
  {% set value = (found.values() | list)[0] %}

  {% if execute %}
    {% set seen_by_all = [project_name, 'tf_embeddings'] %}
    {% for scope in found if scope not in seen_by_all or found[scope] != value %}
      {% do exceptions.raise_compiler_error(
        "tf_embeddings: var " ~ name ~ " stands below vars: " ~ found | join(': and below vars: ')
        ~ ": in dbt_project.yml, so that not all packages would see the same value. Set it once, "
        ~ "below vars: or below vars: " ~ project_name ~ ":."
      ) %}
    {% endfor %}
  {% endif %}
  {{ return(value) }}
{% endmacro %}
