select *
from {{ ref('category_accuracy') }}
where accuracy < 0.5
