"""dbt is killed while it fills the store: what was committed stays, and is not embedded again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting import Reached, counted
from duckdb_projects import Project, Run, make_project
from makers import Artifact

TESTS = Path(__file__).parent

STORE = "{{ tf_embeddings.embedding_store([{'source': ['raw', 'texts'], 'column': 'body'}]) }}"
SOURCES = """
version: 2
sources: [{name: raw, schema: main, tables: [{name: texts}]}]
"""


@pytest.fixture
def project(tiny: Artifact, tmp_path: Path) -> Project:
    """A project with 5,000 texts: DuckDB hands them to the function in several calls."""
    project = make_project(
        tmp_path / "project",
        artifacts=[tiny],
        files={"models/store.sql": STORE, "models/_sources.yml": SOURCES},
    )
    project.execute("create table texts as select 'text ' || i as body from range(5000) as t(i)")
    return project


@pytest.fixture
def reached() -> Iterator[Reached]:
    with counted() as reached:
        yield reached


def dying_dbt(project: Project, what: str, limit: object) -> subprocess.CompletedProcess[str]:
    """Run dbt in a process that is stopped on its way."""
    return subprocess.run(
        [sys.executable, str(TESTS / "dying_dbt.py"), str(project.folder), what, str(limit)],
        cwd=project.folder,
        capture_output=True,
        text=True,
    )


def kill(project: Project, what: str, limit: object) -> None:
    done = dying_dbt(project, what, limit)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def run(project: Project) -> Run:
    done = project.dbt("run")
    assert done.success, done.errors
    return done


def tables(project: Project) -> list[tuple[Any, ...]]:
    return project.rows("select table_name from duckdb_tables() order by table_name")


def held(project: Project) -> list[tuple[Any, ...]]:
    if ("store",) not in tables(project):
        return []
    return project.rows("from store order by all")


def said(done: Run) -> list[str]:
    """Return what a run printed of the store's progress."""
    return [line for line in done.printed if line.startswith("embedding_store: ")]


@pytest.mark.exhaustive
def test_a_run_that_is_killed_loses_its_portion_and_nothing_else(
    project: Project, reached: Reached
) -> None:
    line = "embedding_store: store has embedded {:,} of {:,} new texts"
    project.configure(vars={**project.vars(), "tf_embeddings_portion": 1000})
    kill(project, "texts", 900)
    assert tables(project) == [("texts",)]
    kill(project, "commit", "store")
    assert tables(project) == [("texts",)]
    kill(project, "texts", 3000)
    kept = held(project)
    assert len(kept) == 3000
    kill(project, "commit", "store")
    assert held(project) == kept

    done = run(project)
    assert reached.take().total() == 2000
    assert said(done) == [line.format(now, 2000) for now in (1000, 2000)]
    committed = held(project)
    assert set(kept) < set(committed)
    assert len(committed) == len({row[0] for row in committed}) == 5000

    project.execute("insert into texts select 'more ' || i from range(2500) as t(i)")
    kill(project, "texts", 1500)
    kept = held(project)
    assert len(kept) == 6000
    kill(project, "commit", "store")
    assert held(project) == kept

    done = run(project)
    assert reached.take().total() == 1500
    assert said(done) == [line.format(now, 1500) for now in (1000, 1500)]
    assert len({row[0] for row in held(project)}) == len(held(project)) == 7500
    assert tables(project) == [("store",), ("texts",)]

    run(project)
    assert not reached.take()


@pytest.mark.exhaustive
def test_ctrl_c_ends_the_call_of_the_model_and_keeps_the_portions(
    project: Project, reached: Reached
) -> None:
    """DuckDB interrupts only between calls: dbt waited for the call, up to a minute."""
    project.configure(vars={**project.vars(), "tf_embeddings_portion": 1000})
    done = dying_dbt(project, "ctrl-c", 2000)
    assert "KeyboardInterrupt()" in done.stdout, done.stdout + done.stderr
    assert len(held(project)) == 2000

    run(project)
    assert reached.take().total() == 3000
    assert len({row[0] for row in held(project)}) == 5000


@pytest.mark.exhaustive
def test_one_statement_embeds_all_where_portions_are_off(
    project: Project, reached: Reached
) -> None:
    project.configure(vars={**project.vars(), "tf_embeddings_portion": 0})
    kill(project, "texts", 3000)
    assert tables(project) == [("texts",)]
    done = run(project)
    assert reached.take() == dict.fromkeys((f"text {i}" for i in range(5000)), 1)
    assert len(done.sent("tf_embeddings_to_embed")) == 1
    assert said(done) == ["embedding_store: store has 5,000 new texts to embed"]

    project.execute("insert into texts select 'more ' || i from range(3) as t(i)")
    done = run(project)
    assert said(done) == []
    assert not done.sent("count(*) from tf_embeddings_unknown"), "a count reads the sources again"


def test_portions_grow_while_they_take_little_time(project: Project, reached: Reached) -> None:
    done = run(project)
    assert reached.take() == dict.fromkeys((f"text {i}" for i in range(5000)), 1)
    to_come, first, *_, last = said(done)
    assert to_come == "embedding_store: store has 5,000 new texts to embed"
    assert first == "embedding_store: store has embedded 250 of 5,000 new texts"
    assert last == "embedding_store: store has embedded 5,000 of 5,000 new texts"


def test_what_remains_is_said_in_words(tmp_path: Path) -> None:
    """Whoever waits wants to know how long; the last seconds are not worth a number."""
    right = {
        (0, 0.01): "0",
        (999, 0.01): "999",
        (1000, 0.02): "1,000, about 20 seconds left",
        (9_400, 0.01): "9,400, about 90 seconds left",
        (14_534, 0.01): "14,534, about 2 minutes left",
        (1_234_567, 0.004): "1,234,567, about 82 minutes left",
        (1_000_000, 0.02): "1,000,000, about 6 hours left",
    }
    macro = """
      {% macro show(cases) %}
        {% for texts, seconds in cases %}
          {% do print(
            tf_embeddings._thousands(texts) ~ tf_embeddings._time_left(texts, seconds)
          ) %}
        {% endfor %}
      {% endmacro %}
    """
    project = make_project(tmp_path / "project", files={"macros/show.sql": macro})
    done = project.dbt("run-operation", "show", "--args", str({"cases": [*map(list, right)]}))
    assert done.success, done.errors
    assert done.said == [*right.values()]
