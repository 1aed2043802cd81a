-- Points that Snowflake's documentation leaves open; the package works either way.
--
-- Run it in an account after `stage_model.py minilm --verify`, with the role that staged, in a
-- worksheet or with `snow sql -f`. Set the first line to your stage's schema. Each query has its
-- question above it. The script creates five functions and drops them at the end.
use schema analytics.tf_embeddings;

-- 1. Which versions of what a model needs does the Anaconda channel have?
select package_name, runtime_version, max(version) as some_version, count(*) as versions
from analytics.information_schema.packages
where
  language = 'python'
  and package_name in (
    'tensorflow', 'keras', 'tf-keras', 'tensorflow-text', 'tensorflow-hub', 'tokenizers',
    'sentencepiece', 'numpy', 'pandas', 'ai-edge-litert'
  )
group by package_name, runtime_version
order by package_name, runtime_version;

-- 2. What does CREATE FUNCTION say when a staged file is missing?
create or replace function tf_embeddings_open_point_missing_file()
returns varchar
language python
volatile
runtime_version = '3.11'
imports = ('@models/no/such/file.zip')
artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = ('numpy')
handler = 'handle'
as $$
def handle():
    return 'created without its file'
$$;

-- 3. How does SQL NULL arrive in a vectorized function? (pd.NA, None or NaN: all are handled.)
create or replace function tf_embeddings_open_point_null(text varchar)
returns varchar
language python
immutable
runtime_version = '3.11'
artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = ('pandas')
handler = 'handle'
as $$
import pandas

def handle(frame):
    return [f'{type(value).__name__}, dtype {frame[0].dtype}' for value in frame[0]]

handle._sf_vectorized_input = pandas.DataFrame
$$;
select tf_embeddings_open_point_null(column1) from values (null), ('a text');

-- 4. Does a vector survive the way of embed? (expected: 1)
select vector_inner_product(v, v) as one
from (
  select
    cast(
      as_array(get(cast(parse_json('{"embedding": [0.6, 0.8, 0]}') as object), 'embedding'))
      as vector(float, 3)
    ) as v
);

-- 5. What is the cosine of a vector without direction? (others measured NaN; no page says so)
select vector_cosine_similarity(
  [0, 0]::vector(float, 2),
  [1, 0]::vector(float, 2)
) as cosine;

-- 6. Which size does LIST give for a client-side encrypted file? Compare with the file's own.
-- Stage with the var tf_embeddings_stage_encryption: SNOWFLAKE_FULL into another schema, then:
list @models;

-- 7. Does a role with USAGE on the function, but without READ on the stage, get its vectors?
-- revoke read on stage models from role <a role in tf_embeddings_grants>;
-- and call the function with that role; grant it again afterwards.

-- 8. How many worker processes does a node start, and how large is its memory?
create or replace function tf_embeddings_open_point_node(row_number number)
returns varchar
language python
volatile
runtime_version = '3.11'
artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = ('numpy')
handler = 'handle'
as $$
import os

def handle(row_number):
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return f'process {os.getpid()} on {os.uname().nodename}: {os.cpu_count()} CPUs, {memory} bytes'
$$;
select tf_embeddings_open_point_node(seq4()) as worker, count(*) as batch_rows
from table(generator(rowcount => 1000000))
group by worker
order by worker;

-- 9. Is a function called once for a row, where several columns read its outcome, as the store's
-- do? (expected: true)
create or replace function tf_embeddings_open_point_once(text varchar)
returns object
language python
immutable
runtime_version = '3.11'
artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = ('numpy')
handler = 'handle'
as $$
import uuid

def handle(text):
    call = str(uuid.uuid4())
    return {'one': call, 'two': call}
$$;
with outcomes as (
  select tf_embeddings_open_point_once(column1) as outcome
  from values ('a'), ('b'), ('c')
)

select min(as_varchar(get(outcome, 'one')) = as_varchar(get(outcome, 'two'))) as is_called_once
from outcomes;

-- 10. Does a MERGE that waited for another one see what that one inserted? In two sessions, with a
-- copy of a store and a text that it lacks: begin, dbt's merge (of target/run) and no commit yet in
-- the first; the same in the second, which waits; commit in both. (expected: no text_hash twice
-- for a model_version)

-- 11. Is a question embedded once, or once for each row of the corpus, where
-- nearest_neighbors(query_text=…) embeds the questions and pairs them with all rows? (expected: 3
-- calls for 3000 pairs)
with questions as (
  select as_varchar(get(tf_embeddings_open_point_once(column1), 'one')) as call_id
  from values ('a'), ('b'), ('c')
  group by column1
),

corpus as (
  select seq4() as corpus_id
  from table(generator(rowcount => 1000))
)

select
  count(distinct questions.call_id) as calls,
  count(*) as pairs
from questions
cross join corpus;

-- 12. Does LiteRT load, and does PyPI's repository add what a package needs? (expected: four modules)
create or replace function tf_embeddings_open_point_litert()
returns varchar
language python
volatile
runtime_version = '3.11'
artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = ('ai-edge-litert==2.3.0')
handler = 'handle'
as $$
import importlib

def look(name):
    try:
        importlib.import_module(name)
    except Exception as error:
        return f'{name}: {error!r}'
    return name

def handle():
    names = ['ai_edge_litert.interpreter', 'flatbuffers', 'google.protobuf', 'numpy']
    return ', '.join(look(name) for name in names)
$$;
select tf_embeddings_open_point_litert();

-- 13. What does `show grants on schema` show to a role with only USAGE? `status` asks, and reads the
-- SQLERRM of a block that catches an unknown function: is that all that Snowflake says of it?

-- 14. Do LiteRT's packages resolve? And what does it say of 'numpy==0.0.1', in each repository, of a
-- package that a packages policy forbids, and to a role that may not use the repository?
select system$resolve_python_packages(
  '3.11',
  $$('ai-edge-litert', 'numpy', 'pandas', 'tokenizers')$$,
  'snowflake.snowpark.pypi_shared_repository'
);

-- 15. Does TRY_CAST take a NULL for a VECTOR? dbt 1.x writes so for the columns that a unit test's
-- fixture leaves out. (The local Snowflake refuses it, as the targets on its page do.)
select try_cast(null as vector(float, 3)) as nothing;

drop function if exists tf_embeddings_open_point_missing_file();
drop function if exists tf_embeddings_open_point_null(varchar);
drop function if exists tf_embeddings_open_point_node(number);
drop function if exists tf_embeddings_open_point_once(varchar);
drop function if exists tf_embeddings_open_point_litert();
