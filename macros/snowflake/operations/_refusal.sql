{% macro snowflake___refusal(pin) %}
  {% set call = tf_embeddings._function_name(pin) ~ "('hello', false)" %}
  {% set said = tf_embeddings._caught("as_varchar(get(" ~ call ~ ", 'status'))") %}
  {% if said in ['ok', 'blank'] %}
    {{ return(none) }}
  {% endif %}

  {% set cause = tf_embeddings._cause(said, pin) %}
  {# The runtime's own sentence says what to do; a traceback stands before it. #}
  {% set ours = modules.re.search('tf_embeddings: [^\\n]*', said) %}
  {% set words = modules.re.sub('\\s+', ' ', ours.group(0) if ours else said) | trim %}
  {{ return(cause or words[:400]) }}
{% endmacro %}
