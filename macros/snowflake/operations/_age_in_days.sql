{% macro _age_in_days(time) %}
  {#
    How old something is: SHOW says when it was created as a time, LIST when it was changed as a
    text, such as Wed, 11 Nov 2026 10:00:00 GMT. 0, just made, for what cannot be read.
    https://docs.snowflake.com/en/sql-reference/sql/list
  #}
  {% set datetime, utc = modules.datetime.datetime, modules.pytz.utc %}
  {% set text = time | string | trim %}
  {% set day = '[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT' %}
  {% if modules.re.fullmatch(day, text) %}
    {% set time = datetime.strptime(text, '%a, %d %b %Y %H:%M:%S GMT') %}
  {% elif modules.re.match('[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}', text) %}
    {# Of a time as text the offset is not read: it is less than a day. #}
    {% set seconds = text[:19].replace('T', ' ') %}
    {% set time = datetime.strptime(seconds, '%Y-%m-%d %H:%M:%S') if time is string else time %}
  {% else %}
    {{ return(0) }}
  {% endif %}
  {% set time = time if time.tzinfo else utc.localize(time) %}
  {{ return([0, (datetime.now(utc) - time).total_seconds() / 86400] | max) }}
{% endmacro %}
