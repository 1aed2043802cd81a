{% macro _staged_sizes(bytes, stage) %}
  {#
    The sizes that LIST may show for a whole file of so many bytes. Client-side encryption, of which
    the type of a stage says nothing, fills the last block of 16 bytes.
  #}
  {% if 'NO CSE' in (stage or {}).type | default('') | string | upper %}
    {{ return([bytes]) }}
  {% endif %}
  {{ return([bytes, bytes // 16 * 16 + 16]) }}
{% endmacro %}
