select *
from {{ ref('category_accuracy') }}
where accuracy is null or accuracy < 0.5
