"""What the searches cost on DuckDB, compared with the obvious SQL.

    python bench/search.py                # 10,000 vectors of 384 dimensions; a minute or two
    python bench/search.py --rows 4000

Each query runs in its own process, so that its peak memory can be read, and the two of a pair take
turns. Seconds are CPU time, which a busy machine disturbs less. Quote ratios.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "udf_src"), str(ROOT / "tests")]

DIMENSIONS = 384
ROUNDS = 3
NO_PIN = "query_version=none, corpus_version=none"
SIMILARITY = "array_cosine_similarity(a.embedding, b.embedding)"

RANKED = f"""
with pairs as (
  select a.id as query_id, b.id as neighbor_id, {SIMILARITY} as cosine_similarity
  from asked as a cross join pool as b
  where {{condition}}
)
select
  *,
  row_number() over (
    partition by query_id
    order by cosine_similarity desc, neighbor_id
  ) as neighbor_rank
from pairs
qualify neighbor_rank <= 10
"""
PAIRED = f"""
select a.id, b.id, {SIMILARITY} as cosine_similarity
from pool as a inner join pool as b on a.id < b.id and {{condition}}
where cosine_similarity >= 0.2
"""

# Name -> the macro, and the obvious SQL.
SEARCHES = {
    "nearest_neighbors": (
        f"nearest_neighbors('asked', 'pool', 'id', 'id', {NO_PIN})",
        RANKED.format(condition="true"),
    ),
    "nearest_neighbors, exclude_self": (
        f"nearest_neighbors('asked', 'pool', 'id', 'id', {NO_PIN}, exclude_self=true)",
        RANKED.format(condition="a.id <> b.id"),
    ),
    "nearest_neighbors, filter": (
        f"nearest_neighbors('asked', 'pool', 'id', 'id', {NO_PIN}, "
        "filter='queries.block = corpus.block')",
        RANKED.format(condition="a.block = b.block"),
    ),
    "near_duplicates": (
        "near_duplicates('pool', 'id', threshold=0.2, version=none)",
        PAIRED.format(condition="true"),
    ),
    "near_duplicates, block": (
        "near_duplicates('pool', 'id', threshold=0.2, version=none, block='block')",
        PAIRED.format(condition="a.block = b.block"),
    ),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure the searches on DuckDB.")
    parser.add_argument("--rows", type=int, default=10_000, help="the number of vectors (10,000)")
    parser.add_argument("--query", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.query:
        print(json.dumps(_run(*arguments.query)))
        return
    print(f"{'':34}{'seconds':>18}{'MB above the tables':>22}")
    print(f"{'':34}{'macro':>9}{'SQL':>9}{'macro':>13}{'SQL':>9}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for search, queries in _prepared(Path(folder), arguments.rows).items():
            costs = [[_cost(folder, query) for query in queries] for _ in range(ROUNDS)]
            (macro, macro_mb), (sql, sql_mb) = (
                [statistics.median(numbers) for numbers in zip(*way, strict=True)]
                for way in zip(*costs, strict=True)
            )
            print(
                f"{search:34}{macro:9.2f}{sql:9.2f}{macro_mb:13.0f}{sql_mb:9.0f}{macro / sql:8.2f}",
                flush=True,
            )


def _prepared(folder: Path, rows: int) -> dict[str, list[str]]:
    """Make the database, and return the two queries of each search."""
    from duckdb_projects import make_project

    models = {
        f"models/search_{place}.sql": f"{{{{ tf_embeddings.{macro} }}}}"
        for place, (macro, _) in enumerate(SEARCHES.values())
    }
    project = make_project(folder / "project", files=models, plugin=False)
    project.execute("select setseed(0.5)")
    for table, count in (("pool", rows), ("asked", rows // 10)):
        project.execute(f"""
          create table {table} as
          select id, id % 10 as block, vector::float[{DIMENSIONS}] as embedding
          from (
            select id, list(random() - 0.5) as vector
            from range({count}) as t(id), range({DIMENSIONS})
            group by id
          )
        """)
    compiled = project.dbt("compile")
    if not compiled.success:
        raise RuntimeError(compiled.errors)
    project.database.rename(folder / "search.duckdb")
    texts = project.folder / "target/compiled/a_project/models"
    return {
        search: [(texts / f"search_{place}.sql").read_text(encoding="utf-8"), sql]
        for place, (search, (_, sql)) in enumerate(SEARCHES.items())
    }


def _cost(folder: str, query: str) -> tuple[float, float]:
    """Run a query in its own process; return its seconds and megabytes."""
    command = [sys.executable, __file__, "--query", f"{folder}/search.duckdb", query]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


def _run(database: str, query: str) -> tuple[float, float]:
    """Run a query; return its CPU seconds, and its peak memory above that of the tables in MB."""
    import duckdb

    with duckdb.connect(database, read_only=True) as connection:
        for table in ("asked", "pool"):
            connection.execute(f"create temp table loaded as from {table}")
            connection.execute("drop table loaded")
        before, start = _peak(), time.process_time()
        connection.execute(f"create temp table found as {query}")
        return time.process_time() - start, _peak() - before


def _peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
