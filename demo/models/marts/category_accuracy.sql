{# How often the prediction is right, compared with always predicting the most frequent category. #}
select
  count(*) as definitions,
  count(distinct lexname) as categories,
  avg(case when is_right then 1.0 else 0.0 end) as accuracy,
  (
    select max(category.size) * 1.0 / sum(category.size)
    from (
      select count(*) as size
      from {{ ref('predicted_categories') }}
      group by lexname
    ) as category
  ) as accuracy_of_the_most_frequent
from {{ ref('predicted_categories') }}
