"""What the embedding store costs on DuckDB: time and memory, by rows and by distinct texts.

    python bench/store.py                      # up to 1,000,000 rows; minutes
    python bench/store.py --rows 100000        # up to 100,000
    python bench/store.py --memory-limit ''    # with DuckDB's default

dbt builds the store, runs again with nothing new, and then with 1 % new texts. Each run has its own
process, so that its peak memory can be read. The model is trivial but has as many dimensions as
MiniLM, so the figures are the store's. Seconds are CPU time, which a busy machine disturbs less.
The smallest size shows what dbt and TensorFlow take before the first row; the ratios of time leave
that out. Quote the ratios, because machines differ. DuckDB keeps what it has written and read in
memory while there is room (by default 80 % of the machine's), so the profile sets `memory_limit` to
show what it needs.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "udf_src"), str(ROOT / "tests")]

DIMENSIONS = 384
SMALLEST = 1000

STORE = """
{{ tf_embeddings.embedding_store([{'source': ['raw', 'tickets'], 'column': 'body'}]) }}
"""
SOURCES = """
version: 2
sources: [{name: raw, schema: main, tables: [{name: tickets}]}]
"""
# About 150 characters each; duplicates are far apart.
TEXTS = """
select
  id,
  'ticket ' || text || ': ' || repeat(md5(text::varchar) || ' ', 4) as body
from (select id, id % {distinct} + {start} as text from range({rows}) as t(id))
"""


@dataclass(frozen=True)
class Size:
    """The number of rows, and of distinct texts."""

    rows: int
    distinct: int

    def __str__(self) -> str:
        return f"{self.rows:>9,} rows, {self.distinct:>7,} distinct"


@dataclass(frozen=True)
class Cost:
    """What one call of dbt cost."""

    seconds: float
    peak_mb: float


def main() -> None:
    """Measure, and print a table."""
    arguments = _arguments()
    if arguments.step:
        print(json.dumps(STEPS[arguments.step](*arguments.step_arguments)))
        return
    rows = arguments.rows
    sizes = [
        Size(SMALLEST, SMALLEST // 10),
        Size(rows // 4, rows // 40),
        Size(rows // 2, rows // 20),
        Size(rows, rows // 10),
        Size(rows, rows // 5),
    ]
    with tempfile.TemporaryDirectory() as temporary:
        print(f"{'':36} {'build':>18} {'nothing new':>18} {'1 % new':>18}")
        costs: dict[Size, list[Cost]] = {}
        for place, size in enumerate(sizes):
            costs[size] = _measure(Path(temporary), size, place, arguments.memory_limit)
            _print_costs(size, costs[size])
    _print_ratios(costs)


def _measure(folder: Path, size: Size, place: int, memory_limit: str) -> list[Cost]:
    """Return the costs of building the store, of a run with nothing new, and of 1 % new texts."""
    project = folder / str(place)
    _call("prepare", project, size.rows, size.distinct, memory_limit)
    built = _call("run", project)
    again = _call("run", project)
    _call("add", project, size.rows // 100, size.distinct)
    added = _call("run", project)
    return [Cost(**cost) for cost in (built, again, added)]


def _call(step: str, *arguments: object) -> Any:  # noqa: ANN401 - the step's own JSON
    """Run a step in its own process."""
    command = [sys.executable, __file__, "--step", step, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def prepare(folder: str, rows: str, distinct: str, memory_limit: str) -> None:
    """Make a dbt project with the texts in its database."""
    import yaml
    from duckdb_projects import make_project
    from makers import write_artifact

    path = Path(folder)
    saved = path / "saved"
    artifact = write_artifact(saved, _save_model(saved), path / "artifacts", model="fast")
    files = {"models/store.sql": STORE, "models/_sources.yml": SOURCES}
    project = make_project(path / "project", artifacts=[artifact], files=files)
    if memory_limit:
        profiles = yaml.safe_load((project.folder / "profiles.yml").read_text(encoding="utf-8"))
        for profile in profiles.values():
            profile["outputs"]["dev"]["settings"] = {"memory_limit": memory_limit}
        project.write_yaml("profiles.yml", profiles)
    texts = TEXTS.format(rows=rows, distinct=distinct, start=0)
    project.execute(f"create table tickets as {texts}")


def add(folder: str, rows: str, start: str) -> None:
    """Add new texts."""
    texts = TEXTS.format(rows=rows, distinct=rows, start=start)
    _project(folder).execute(f"insert into tickets {texts}")


def run(folder: str) -> dict[str, float]:
    """Run dbt; return what it cost."""
    project = _project(folder)
    started = time.process_time()
    done = project.dbt("run")
    seconds = time.process_time() - started
    if not done.success:
        raise SystemExit("\n".join(done.errors))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_mb": peak / (2**20 if sys.platform == "darwin" else 2**10)}


STEPS = {"prepare": prepare, "add": add, "run": run}


def _project(folder: str) -> Any:  # noqa: ANN401 - imported only here
    from duckdb_projects import Project

    return Project(Path(folder) / "project")


def _save_model(folder: Path) -> dict[str, Any]:
    """Save a model that makes a vector from a text's hash."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
        def __call__(self, texts: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow has no types
            numbers = tf.strings.to_hash_bucket_fast(texts, 2**20)
            places = tf.range(1, DIMENSIONS + 1, dtype=tf.float32)
            return {"embedding": tf.sin(tf.cast(numbers, tf.float32)[:, None] * places)}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.__call__})
    return {
        "kind": "text",
        "dimensions": DIMENSIONS,
        "max_tokens": None,
        "encoder": {
            "signature": "serving_default",
            "input": "texts",
            "rank": 1,
            "output": "embedding",
        },
        "packages": ["numpy", "tensorflow"],
    }


def _print_costs(size: Size, costs: list[Cost]) -> None:
    cells = "".join(f" {cost.seconds:7.1f} s {cost.peak_mb:5.0f} MB" for cost in costs)
    print(f"{size!s:36}{cells}", flush=True)


def _print_ratios(costs: dict[Size, list[Cost]]) -> None:
    """Compare the sizes; the first one is the cost without texts."""
    base, quarter, half, whole, twice = [each[0] for each in costs.values()]
    print()
    for name, larger, smaller in (
        ("rows and distinct texts x 2", half, quarter),
        ("rows and distinct texts x 4", whole, quarter),
        ("distinct texts x 2, the same rows", twice, whole),
    ):
        seconds = (larger.seconds - base.seconds) / max(smaller.seconds - base.seconds, 0.01)
        memory = larger.peak_mb / smaller.peak_mb
        print(f"{name:36} build: time x {seconds:.1f}, peak memory x {memory:.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="the most rows (1,000,000)")
    parser.add_argument("--memory-limit", default="256MB", help="DuckDB's memory_limit (256MB)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("step_arguments", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
