"""The operations on a store on Snowflake, as on DuckDB; what they delete is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import makers
import pytest
from conftest import load_artifact
from makers import Artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from test_store_operations import (
    CHATS,
    FILES,
    NOTES,
    TEXTS,
    agreement,
    estimated,
    operation,
    set_vars,
    tokens_of,
)

TABLES = ["raw_notes", "chats", "store"]


@pytest.fixture(scope="module")
def artifacts(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    """Three names of the tiny model; what has a prefix has other vectors."""
    versions = {name: f"v{place:012}" for place, name in enumerate(["tiny", "prefixed", "short"])}
    return {
        name: makers.write_artifact(
            *litert_tokens_model,
            tmp_path_factory.mktemp(name),
            model=name,
            with_runtime=True,
            prefix="invoice day " if name == "prefixed" else "",
            version=version,
        )
        for name, version in versions.items()
    }


def insert(project: SnowflakeProject, table: str, *rows: tuple[str | None, ...]) -> None:
    """Insert rows of texts without quotes."""
    literals = [", ".join("null" if text is None else f"'{text}'" for text in row) for row in rows]
    project.execute(f"insert into dev.{table} values ({'), ('.join(literals)})")


@pytest.fixture(scope="module")
def built(
    artifacts: dict[str, Artifact],
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> SnowflakeProject:
    """A project whose store holds all texts in two versions; another store is not built."""
    files = {name: FILES[name] for name in ("models/store.sql", "models/short_store.sql")}
    project = make_snowflake_project(
        tmp_path_factory.mktemp("dbt") / "project",
        local_snowflake,
        artifacts=artifacts.values(),
        files={
            **files,
            "models/crm.yml": FILES["models/crm.yml"].replace("main", "dev"),
            "models/notes.sql": FILES["models/notes.sql"].replace("main", "dev"),
        },
    )
    project.execute("create schema dev")
    project.execute("create table dev.raw_notes (body varchar)")
    project.execute("create table dev.chats (q varchar, a varchar)")
    insert(project, "raw_notes", *((text,) for text in NOTES))
    insert(project, "chats", *CHATS)
    for default in ("prefixed", "tiny"):
        set_vars(project, default_model=default)
        run = project.dbt("run", "--exclude", "short_store")
        assert run.success, run.errors
    for table in TABLES:
        project.execute(f"create table dev.{table}_as_built as select * from dev.{table}")
    return project


@pytest.fixture
def project(built: SnowflakeProject) -> SnowflakeProject:
    """The same, as it was when it was built."""
    for table in TABLES:
        built.execute(f"create or replace table dev.{table} as select * from dev.{table}_as_built")
    set_vars(built, default_model="tiny")
    return built


def test_estimate_before_the_function_is_there(
    project: SnowflakeProject, artifacts: dict[str, Artifact]
) -> None:
    run = operation(project, "estimate", store="short_store")

    count = str(len(TEXTS))
    short = artifacts["short"]
    assert estimated(run) == ["short", short.version, count, "0", "-", count, "-", "-"]
    assert run.said[2] == "Store 'short_store' is not built yet."
    assert run.said[3] == (
        "No tokens were counted: the function of model short does not exist yet (the next "
        "run creates the function)."
    )


def test_estimate_counts_what_neither_store_has(
    project: SnowflakeProject, artifacts: dict[str, Artifact]
) -> None:
    new = ["a new text", "the new text of a person on a sunny day " * 3]
    insert(project, "raw_notes", *((text,) for text in [*new, new[0]]))
    project.execute("create or replace table dev.shared as select * from dev.store")
    project.execute("delete from dev.store where text in ('the lazy dog', ' ')")
    set_vars(project, default_model="tiny", shared_store="dev.shared", max_new_texts=1)
    run = operation(project, "estimate", store="store")

    counts = [str(len(TEXTS) + 2), str(len(TEXTS) - 2), "2", "2"]
    tokens = tokens_of(load_artifact(artifacts["tiny"]), new)
    assert estimated(run) == ["tiny", artifacts["tiny"].version, *counts, *tokens]
    assert run.said[2].startswith("2 runs: each embeds at most 1 texts")


def test_prune_deletes_for_good_what_it_lists(
    project: SnowflakeProject, artifacts: dict[str, Artifact]
) -> None:
    project.execute("delete from dev.raw_notes where body = 'where is my invoice'")
    project.execute("update dev.store set model_version = 'v9' where model = 'prefixed'")
    project.execute("update dev.store set status = 'error' where text = 'the lazy dog'")
    arguments = {"store": "store", "what": ["texts", "versions", "failed"]}
    listed = operation(project, "prune", **arguments)

    assert listed.success, listed.errors
    version = artifacts["tiny"].version
    assert [line.split(maxsplit=3) for line in listed.said[1:-1]] == [
        ["prefixed", "v9", str(len(TEXTS) - 1), "no pin names the version"],
        ["prefixed", "v9", "1", "no source has the text"],
        ["tiny", version, "1", "no source has the text"],
        ["tiny", version, "1", "the model failed on the text"],
    ]
    assert project.rows("select count(*) from dev.store") == [(2 * len(TEXTS),)]

    deleted = operation(project, "prune", **arguments, drop=True)
    assert deleted.success, deleted.errors
    assert deleted.said[-1] == f"Deleted {len(TEXTS) + 2} rows of 'store'."
    left = {text for (text,) in project.rows("select text from dev.store where model = 'tiny'")}
    assert left == set(TEXTS) - {"where is my invoice", "the lazy dog"}
    assert project.rows("select count(*) from dev.store") == [(len(TEXTS) - 2,)]


def test_compare_versions_gives_what_numpy_gives(
    project: SnowflakeProject, artifacts: dict[str, Artifact]
) -> None:
    one, other = (load_artifact(artifacts[name]) for name in ("tiny", "prefixed"))
    hashes, recall, same = agreement(one, other, k=3)
    run = operation(project, "compare_versions", model="tiny", other="prefixed", store="store", k=3)

    assert run.success, run.errors
    assert run.said[2:5] == [
        f"In both: {len(hashes)} texts, {len(hashes)} of them compared.",
        f"Mean recall@3 of their nearest neighbors: {recall.mean():.3f}",
        f"Texts whose nearest neighbor is the same: {100 * same.mean():.1f} %",
    ]
    least = sorted(zip(recall, hashes, strict=True))[:5]
    assert [line.split()[:2] for line in run.said[7:]] == [
        [f"{value:.3f}", key] for value, key in least
    ]
