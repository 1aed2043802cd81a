"""The store on Snowflake, through dbt-snowflake: each text reaches the function once, ever.

The server counts the rows that it hands to a function's workers. The expected rows come from
plain Python, SHA-256 of hashlib, and the artifact's own runtime.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from conftest import Saved, load_artifact
from duckdb_projects import Project, Run
from makers import Artifact, write_artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project

SAME_VECTOR = 1e-6

TICKETS = [
    ("the quick brown fox", "how do i reset my password"),
    ("The quick brown fox", "the quick brown fox"),
    ("the quick brown fox ", None),
    ("été 😀 敏捷的棕色狐狸", 'it\'s a "quoted" \\ $$; -- text'),
    (" \t\u00a0", ""),
]
NOTES = ["the lazy dog", "how do i reset my password", None, "x y " * 20]
BROKEN = ["number: 7", "number: <outside>", "not a number: <nan>", "plain", " "]

SOURCES = [
    {"source": ["crm", "tickets"], "columns": ["subject", "body"]},
    {"ref": "notes", "column": "note"},
]
STORE = "{{{{ tf_embeddings.embedding_store({}) }}}}"
FILES = {
    "models/sources.yml": json.dumps(
        {
            "version": 2,
            "sources": [
                {
                    "name": "crm",
                    "schema": "{{ target.schema }}",
                    "tables": [{"name": "tickets"}, {"name": "raw_notes"}, {"name": "broken"}],
                }
            ],
        }
    ),
    "models/notes.sql": (
        "{{ config(materialized='view') }}\nselect note from {{ source('crm', 'raw_notes') }}"
    ),
    "models/tickets_embedded.sql": (
        "{{ tf_embeddings.with_embeddings("
        "source('crm', 'tickets'), 'body', ref('embedding_store')) }}"
    ),
    "models/broken_store.sql": STORE.format(
        "{'source': ['crm', 'broken'], 'column': 'body'}, model='breakable'"
    ),
    "models/dev_store.sql": STORE.format(
        "[{'ref': 'notes', 'columns': ['note', \"note || ' again'\"]}], keep_text=true"
    ),
}


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def distinct(*columns: Sequence[str | None]) -> set[str]:
    return {text for column in columns for text in column if text is not None}


TEXTS = distinct(*zip(*TICKETS, strict=True), NOTES)


def literal(value: object, escape: str) -> str:
    if value is None:
        return "null"
    return "'" + str(value).replace("\\", escape).replace("'", "''") + "'"


def insert(project: Project, table: str, rows: Sequence[Sequence[object]]) -> None:
    escape = "\\\\" if isinstance(project, SnowflakeProject) else "\\"
    values = ", ".join(f"({', '.join(literal(cell, escape) for cell in row)})" for row in rows)
    project.execute(f"insert into {table} values {values}")


def create_tables(project: Project, schema: str) -> None:
    project.execute(f"create table {schema}.tickets (id integer, subject varchar, body varchar)")
    project.execute(f"create table {schema}.raw_notes (note varchar)")
    project.execute(f"create table {schema}.broken (body varchar)")
    insert(project, f"{schema}.tickets", [(place, *row) for place, row in enumerate(TICKETS)])
    insert(project, f"{schema}.raw_notes", [(note,) for note in NOTES])
    insert(project, f"{schema}.broken", [(text,) for text in BROKEN])


def settings(artifacts: Sequence[Artifact]) -> dict[str, object]:
    return {
        "tf_embeddings_models": {artifact.model: artifact.pin() for artifact in artifacts},
        "tf_embeddings_default_model": artifacts[0].model,
        "tf_embeddings_sources": SOURCES,
    }


@pytest.fixture(scope="module")
def artifacts(
    litert_tokens_model: Saved, breakable_model: Saved, tmp_path_factory: pytest.TempPathFactory
) -> list[Artifact]:
    """The model tiny; the same with a prefix, which has other vectors; and one that texts break."""
    folder = tmp_path_factory.mktemp("artifacts")
    version = "v" + "0" * 11 + "1"
    return [
        write_artifact(*litert_tokens_model, folder, with_runtime=True),
        write_artifact(
            *litert_tokens_model,
            folder,
            model="tiny_next",
            prefix="horse ",
            version=version,
            with_runtime=True,
        ),
        write_artifact(*breakable_model, folder, model="breakable", with_runtime=True),
    ]


@pytest.fixture(scope="module")
def built(
    artifacts: list[Artifact],
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> SnowflakeProject:
    """A project that has built the package's own store, and its own table with embeddings."""
    project = make_snowflake_project(
        tmp_path_factory.mktemp("dbt") / "project",
        local_snowflake,
        artifacts=artifacts,
        files=FILES,
    )
    project.configure(vars=settings(artifacts))
    project.execute("create schema if not exists dev")
    create_tables(project, "dev")
    run = project.dbt("build", "--exclude", "broken_store", "dev_store")
    assert run.success, run.errors
    assert project.embedded() == len(TEXTS)
    return project


def run(project: Project, *arguments: str, **settings: object) -> Run:
    """Run dbt, with these settings beside those of the project."""
    if settings:
        given = {f"tf_embeddings_{name}": value for name, value in settings.items()}
        arguments = (*arguments, "--vars", json.dumps(given))
    done = project.dbt("run", *arguments)
    assert done.success, done.errors
    return done


def stored(
    project: Project, schema: str, store: str = "embedding_store"
) -> dict[tuple[str, str], Any]:
    """Return what a store holds, by hash and version; it has no key twice."""
    rows = project.rows(
        "select text_hash, model_version, model, embedding, token_count, is_truncated, status "
        f"from {schema}.{store}"
    )
    found = {(hash_, version): tuple(rest) for hash_, version, *rest in rows}
    assert len(found) == len(rows)
    return found


def assert_holds(found: Mapping[tuple[str, str], Any], artifact: Artifact, texts: set[str]) -> None:
    """Assert that a store has a row of this version for exactly these texts, the right one."""
    ordered = sorted(texts)
    rows = {hash_: row for (hash_, version), row in found.items() if version == artifact.version}
    assert rows.keys() == {text_hash(text) for text in texts}
    expected = load_artifact(artifact).embed(ordered)
    for place, text in enumerate(ordered):
        model, embedding, token_count, is_truncated, status = rows[text_hash(text)]
        assert model == artifact.model
        assert status == expected.statuses[place], text
        assert (embedding is not None) == expected.valid[place]
        if embedding is not None:
            np.testing.assert_allclose(embedding, expected.embeddings[place], atol=SAME_VECTOR)
        counted = expected.counted[place]
        assert token_count == (expected.token_counts[place] if counted else None)
        assert is_truncated == (expected.is_truncated[place] if counted else None)


def test_the_store_has_each_text_once(built: SnowflakeProject, artifacts: list[Artifact]) -> None:
    assert_holds(stored(built, "dev"), artifacts[0], TEXTS)


def test_every_row_gets_its_embedding_and_none_is_lost_or_doubled(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    rows = built.rows(
        "select id, subject, body, embedding, model_version from dev.tickets_embedded order by id"
    )
    assert [tuple(row[:3]) for row in rows] == [
        (place, *ticket) for place, ticket in enumerate(TICKETS)
    ]
    expected = load_artifact(artifacts[0]).embed([body or "" for _, body in TICKETS])
    for (_, _, body, embedding, version), valid, vector in zip(
        rows, expected.valid, expected.embeddings, strict=True
    ):
        assert version == (None if body is None else artifacts[0].version)
        assert (embedding is not None) == valid
        if valid:
            np.testing.assert_allclose(embedding, vector, atol=SAME_VECTOR)


def test_the_metrics_count_what_the_store_holds(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    [totals] = built.rows(
        "select sum(texts), sum(blank), sum(failed), sum(truncated), max(total_texts), "
        f"min(is_current) from dev.embedding_store_metrics where model = '{artifacts[0].model}'"
    )
    [counted] = built.rows(
        "select count(*), count_if(status = 'blank'), 0, count_if(is_truncated), count(*), true "
        f"from dev.embedding_store where model = '{artifacts[0].model}'"
    )
    assert totals == counted
    assert totals[1] == 2
    assert totals[3] >= 1


def test_a_run_embeds_what_is_new_and_no_full_refresh_more(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    before = built.embedded()
    run(built, "--full-refresh", "--exclude", "broken_store", "dev_store")
    assert built.embedded() == before

    new = "where is my invoice"
    insert(built, "dev.raw_notes", [(new,), (new,), (NOTES[0],), (None,)])
    run(built, "--select", "+embedding_store")
    assert built.embedded() == before + 1
    assert_holds(stored(built, "dev"), artifacts[0], TEXTS | {new})

    built.execute(f"delete from dev.raw_notes where note = '{new}'")
    run(built, "--select", "+embedding_store")
    assert built.embedded() == before + 1
    assert text_hash(new) in {hash_ for hash_, _ in stored(built, "dev")}


def test_a_text_that_breaks_the_model_is_a_row_and_bounded_runs_finish(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    said = "embedding_store: {} new texts, embedding {} of them now; {} remain for the next run"
    before = built.embedded()
    for new, now in ((5, 3), (2, 2)):
        done = run(built, "--select", "broken_store", max_new_texts=3)
        before += now
        assert built.embedded() == before
        assert said.format(new, now, new - now) in done.output
        hashes = {hash_ for hash_, _ in stored(built, "dev", "broken_store")}
        first = sorted(map(text_hash, BROKEN))[: 5 - new + now]
        assert hashes == set(first)

    found = stored(built, "dev", "broken_store")
    assert_holds(found, artifacts[2], set(BROKEN))
    statuses = {text: found[text_hash(text), artifacts[2].version][-1] for text in BROKEN}
    assert statuses == {
        "number: 7": "ok",
        "number: <outside>": "error",
        "not a number: <nan>": "error",
        "plain": "ok",
        " ": "blank",
    }


def test_a_run_in_portions_embeds_each_text_once(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    texts = distinct(NOTES)
    texts |= {f"{text} again" for text in texts}
    before = built.embedded()
    done = run(built, "--select", "dev_store", portion=2, default_model=artifacts[1].model)
    assert built.embedded() == before + len(texts)
    said = [line for line in done.printed if "dev_store has embedded" in line]
    assert [int(line.split()[4]) for line in said] == [*range(2, len(texts), 2), len(texts)]
    found = stored(built, "dev", "dev_store")
    assert_holds(found, artifacts[1], texts)

    insert(built, "dev.raw_notes", [("a sunny day",), ("a rainy day",)])
    run(built, "--select", "dev_store", portion=1, default_model=artifacts[1].model)
    built.execute("delete from dev.raw_notes where note like 'a % day'")
    assert built.embedded() == before + len(texts) + 4
    assert len(stored(built, "dev", "dev_store")) == len(texts) + 4
    built.execute("drop table dev.dev_store")


def test_a_shared_store_is_read_before_the_model_is_called(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    texts = distinct(NOTES)
    texts |= {f"{text} again" for text in texts}
    shared = stored(built, "dev").keys()
    new = {text for text in texts if (text_hash(text), artifacts[0].version) not in shared}
    assert 0 < len(new) < len(texts)

    before = built.embedded()
    run(built, "--select", "dev_store", shared_store="dev.embedding_store")
    assert built.embedded() == before + len(new)
    assert_holds(stored(built, "dev", "dev_store"), artifacts[0], texts)
    copied = built.rows(
        "select dev_store.text, dev_store.invocation_id = embedding_store.invocation_id "
        "from dev.dev_store inner join dev.embedding_store using (text_hash, model_version)"
    )
    assert {text: is_same for text, is_same in copied} == dict.fromkeys(texts - new, True)


@pytest.mark.exhaustive
def test_a_store_that_is_its_own_shared_store_is_made_anew_when_it_is_told_to(
    built: SnowflakeProject,
) -> None:
    before = built.embedded()
    arguments = ("--full-refresh", "--select", "+embedding_store")
    run(built, *arguments, full_refresh=True, shared_store="dev.embedding_store")

    assert built.embedded() == before + len(TEXTS)


@pytest.mark.exhaustive
def test_a_run_that_waits_for_another_one_adds_nothing(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    """Here it waits before it reads; point 10 of open_points.sql is for a MERGE that has begun."""
    sent = run(built, "--select", "+embedding_store")
    [view] = sent.sent("temporary view")
    [merge] = sent.sent("merge into")
    new = "a sunny day"
    insert(built, "dev.raw_notes", [(new,)])
    before = built.embedded()

    def second_run() -> None:
        with built.server.connect(database=built.name) as session:
            for statement in (view, "begin", merge, "commit"):
                session.cursor().execute(statement)

    second = threading.Thread(target=second_run)
    with built.server.connect(database=built.name) as first:
        for statement in (view, "begin", merge):
            first.cursor().execute(statement)
        second.start()
        first.cursor().execute("commit")
    second.join()

    found = stored(built, "dev")
    built.execute(f"delete from dev.raw_notes where note = '{new}'")
    assert (text_hash(new), artifacts[0].version) in found
    assert built.embedded() == before + 1


def test_a_switch_of_versions_embeds_each_text_once_more(
    built: SnowflakeProject, artifacts: list[Artifact]
) -> None:
    new = artifacts[1]
    before = built.embedded()
    run(built, "--select", "+tickets_embedded", default_model=new.model)

    assert built.embedded() == before + len(TEXTS)
    assert_holds(stored(built, "dev"), new, TEXTS)
    assert built.rows(
        "select distinct model_version from dev.tickets_embedded where model_version is not null"
    ) == [(new.version,)]
