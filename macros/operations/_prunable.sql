{% macro _prunable(table, what, texts, pins) %}
  {#
    A query of the rows of a store that prune takes, with the first reason why; `texts` is the query
    of the hashes that the sources have.
  #}
  {% set versions = ["''"] %}
  {% for pin in pins %}
    {% do versions.append("'" ~ pin.version ~ "'") %}
  {% endfor %}
  {% set reasons = {
    'texts': ["kept.text_hash is null", "no source has the text"],
    'versions': [
      "stored.model_version not in (" ~ versions | join(", ") ~ ")", "no pin names the version"
    ],
    'failed': ["stored.status = 'error'", "the model failed on the text"],
  } %}
  {% set sql %}
select
  stored.text_hash as pruned_hash,
  stored.model_version as pruned_version,
  stored.model as pruned_model,
  case
    {%- for name in what %}
    when {{ reasons[name][0] }} then '{{ reasons[name][1] }}'
    {%- endfor %}
  end as why
from {{ table }} as stored
  {%- if 'texts' in what %}
left join (
  {{ texts }}
) as kept
  on stored.text_hash = kept.text_hash
  {%- endif %}
where
  {%- for name in what %}
  {{ 'or ' if not loop.first }}{{ reasons[name][0] }}
  {%- endfor %}
  {% endset %}
  {{ return(sql | trim) }}
{% endmacro %}
