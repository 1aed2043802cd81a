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
from dbt_projects import Project, make_project
from makers import Artefact

TESTS = Path(__file__).parent

STORE = "{{ tf_embeddings.embedding_store([{'source': ['raw', 'texts'], 'column': 'body'}]) }}"
SOURCES = """
version: 2
sources: [{name: raw, schema: main, tables: [{name: texts}]}]
"""


@pytest.fixture
def project(strings: Artefact, tmp_path: Path) -> Project:
    """A project with 5,000 texts: DuckDB hands them to the function in several calls."""
    project = make_project(
        tmp_path / "project",
        artefacts=[strings],
        files={"models/store.sql": STORE, "models/_sources.yml": SOURCES},
    )
    project.execute("create table texts as select 'text ' || i as body from range(5000) as t(i)")
    return project


@pytest.fixture
def reached() -> Iterator[Reached]:
    with counted() as reached:
        yield reached


def kill(project: Project, what: str, limit: object) -> None:
    """Run dbt in a process that is killed on its way."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "dying_dbt.py"), str(project.folder), what, str(limit)],
        cwd=project.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def run(project: Project) -> None:
    done = project.dbt("run")
    assert done.success, done.errors


def tables(project: Project) -> list[tuple[Any, ...]]:
    return project.rows("select table_name from duckdb_tables() order by table_name")


def test_a_run_that_is_killed_loses_its_statement_and_nothing_else(
    project: Project, reached: Reached
) -> None:
    kill(project, "texts", 3000)
    assert tables(project) == [("texts",)]
    kill(project, "commit", "store")
    assert tables(project) == [("texts",)]

    run(project)
    assert reached.take() == dict.fromkeys((f"text {i}" for i in range(5000)), 1)
    committed = project.rows("from store order by all")
    assert len(committed) == 5000

    project.execute("insert into texts select 'more ' || i from range(3000) as t(i)")
    kill(project, "texts", 2500)
    assert project.rows("from store order by all") == committed
    kill(project, "commit", "store")
    assert project.rows("from store order by all") == committed

    run(project)
    assert reached.take() == dict.fromkeys((f"more {i}" for i in range(3000)), 1)
    after = project.rows("from store order by all")
    assert set(committed) < set(after)
    assert len(after) == 8000
    assert tables(project) == [("store",), ("texts",)]

    run(project)
    assert not reached.take()
