{% test text_is_not_truncated(model, column_name, embedding_model=none, at_most=none) %}
  {#- Without a limit it warns: most columns have some texts longer than a model reads. -#}
  {%- if at_most is none -%}
    {%- do config(severity='warn') -%}
  {%- else -%}
    {%- set at_most = tf_embeddings._number_argument(
      'text_is_not_truncated', 'at_most', at_most, 0, 1,
      'the largest share of texts that may be truncated'
    ) -%}
  {%- endif -%}
  {%- set is_truncated = '1 = 0' -%}
  {%- if execute -%}
    {%- set pin = tf_embeddings._pin(embedding_model, 'text_is_not_truncated') -%}
    {%- if pin.kind == 'text' -%}
      {%- do log(
        "text_is_not_truncated: passes, because model '" ~ pin.model ~ "' is of kind text: it "
        ~ "takes whole texts, and cannot tell how many tokens it reads", info=true
      ) -%}
    {%- else -%}
      {%- set outcome = tf_embeddings._outcome(
        column_name, pin, 'text_is_not_truncated', tokens_only=true
      ) -%}
      {%- set is_truncated = tf_embeddings._outcome_column(outcome, 'is_truncated', pin) -%}
    {%- endif -%}
  {%- else -%}
    {%- do tf_embeddings._mark(embedding_model) -%}
  {%- endif -%}

{%- if at_most is none %}
select *
from {{ model }}
where {{ is_truncated }}
{%- else %}
{{ tf_embeddings._share_of_rows(
  model, is_truncated, column_name ~ ' is not null',
  'cast(tf_embeddings_failing as double) / nullif(tf_embeddings_counted, 0) > ' ~ at_most
) }}
{%- endif -%}
{%- endtest %}
