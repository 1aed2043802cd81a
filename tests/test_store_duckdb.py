"""The embedding store through dbt, on DuckDB: its rows, what a run embeds, settings, errors."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import load_artifact
from counting import Reached, counted
from duckdb_projects import NAME, Project, Run, make_project, stage
from makers import Artifact, shortened, write_artifact
from tf_embeddings_udf import Embedder

SAME = 1e-6

LONG = "fox " * 20
DOCS = [
    (1, "fox", "the quick brown fox"),
    (2, "Fox", "the quick brown fox"),
    (3, "fox ", LONG),
    (4, None, 'it\'s a "dog"'),
    (5, "e\u0301", "é"),
    (6, "", " \t"),
    (7, "fox", None),
]
NOTES = ["敏捷的棕色狐狸", "the quick brown fox", None]
TEXTS = {text for _, *texts in DOCS for text in texts} | set(NOTES) - {None}
TEXTS -= {None}

SOURCES = [
    {"ref": "docs", "columns": ["title", "body"]},
    {"source": ["raw", "notes"], "column": "note"},
]

PROPERTIES = """
sources: [{name: raw, schema: main, tables: [{name: notes}]}]
unit_tests:
  - name: only_a_new_text_is_embedded
    model: ids
    overrides: {macros: {is_incremental: true}}
    given:
      - input: ref('docs')
        rows: [{id: 1}, {id: 1}, {id: 2}, {id: null}]
      - input: this
        rows: [{text_hash: HASH, model_version: VERSION}]
    expect:
      rows: [{text: '1', status: ok}]
"""

FILES = {
    "models/docs.sql": "{{ config(materialized='view') }} select * from main.raw_docs",
    "models/passed_on.sql": (
        "{{ config(materialized='ephemeral') }} select * from {{ ref('docs') }}"
    ),
    # Two entries of one relation, one of them an expression.
    "models/titles.sql": """
        {{ config(schema=none, tags=['mine'], meta={'owner': 'search'}) }}
        {{ tf_embeddings.embedding_store(
          [{'ref': 'docs', 'column': 'title'}, {'ref': 'docs', 'column': "'number: ' || title"}],
          model='strings',
          keep_text=true,
        ) }}
    """,
    # Other types are cast to text; a relation may be an object, or ephemeral.
    "models/ids.sql": """
        {{ tf_embeddings.embedding_store(
          {'relation': ref('docs'), 'column': 'id'}, model='strings', keep_text=true
        ) }}
    """,
    "models/bodies.sql": (
        "{{ tf_embeddings.embedding_store({'ref': 'passed_on', 'column': 'body'}) }}"
    ),
    "models/docs_embedded.sql": """
        {{ tf_embeddings.with_embeddings(ref('docs'), 'body', ref('embedding_store')) }}
    """,
    "models/titles_embedded.sql": """
        {{ tf_embeddings.with_embeddings(
          "select id, title as text, 'mine' as status from " ~ ref('docs'),
          'lower(text)',
          ref('titles'),
          model='strings',
        ) }}
    """,
}


@dataclass(frozen=True)
class Built:
    """A project after its first build, what reached the models in it, and what dbt parsed."""

    project: Project
    reached: Counter[str | None]
    manifest: dict[str, Any]


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def reached() -> Iterator[Reached]:
    with counted() as reached:
        yield reached


@pytest.fixture(scope="module")
def built(
    tiny: Artifact,
    strings: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
    reached: Reached,
) -> Built:
    project = make_project(
        tmp_path_factory.mktemp("dbt") / "project", artifacts=[tiny, strings], files=FILES
    )
    properties = PROPERTIES.replace("HASH", hash_of("2")).replace("VERSION", strings.version)
    project.write("models/_properties.yml", properties)
    settings = {
        "tf_embeddings_models": {"tiny": tiny.pin(), "strings": strings.pin()},
        "tf_embeddings_default_model": "tiny",
        "tf_embeddings_sources": SOURCES,
    }
    project.configure(vars=settings)
    project.execute("create table raw_docs (id integer, title varchar, body varchar)")
    project.execute("create table notes (note varchar)")
    project.insert("raw_docs", DOCS)
    project.insert("notes", [(note,) for note in NOTES])
    run = project.dbt("build", "--exclude", "test_type:unit")
    assert run.success, run.errors
    shutil.copy(project.database, project.database.with_suffix(".built"))
    return Built(project, reached.take(), project.manifest())


@pytest.fixture
def project(built: Built, reached: Reached) -> Project:
    """The project as its first build left it."""
    project = built.project
    shutil.copy(project.database.with_suffix(".built"), project.database)
    reached.take()
    return project


@pytest.fixture(scope="module")
def embedder(tiny: Artifact) -> Embedder:
    return load_artifact(tiny)


def run(project: Project, *arguments: str, **settings: object) -> Run:
    """Run dbt with settings beside those of the project; without a selection, the one store."""
    select = () if "--select" in arguments else ("--select", "embedding_store")
    variables = {f"tf_embeddings_{name}": value for name, value in settings.items()}
    return project.dbt("run", *select, *arguments, "--vars", json.dumps(variables))


def stored(project: Project, columns: str, store: str = "embedding_store") -> list[Any]:
    return project.rows(f"select {columns} from {store} order by all")


def test_a_distinct_text_reaches_the_model_once(built: Built) -> None:
    titles = [title for _, title, _ in DOCS if title is not None]
    bodies = [body for *_, body in DOCS if body is not None]

    assert built.reached == Counter(TEXTS) + Counter(set(bodies)) + Counter(
        {*titles, *(f"number: {title}" for title in titles)}
    ) + Counter(str(id_) for id_, *_ in DOCS)


def test_the_rows_are_those_of_the_runtime(project: Project, embedder: Embedder) -> None:
    rows = project.rows(
        "select text_hash, model, model_version = (select min(model_version) from bodies), "
        "embedding, token_count, is_truncated, status from embedding_store"
    )

    assert {row[0] for row in rows} == {hash_of(text) for text in TEXTS}
    assert len(rows) == len(TEXTS)
    by_hash = {row[0]: row[1:] for row in rows}
    for text in TEXTS:
        model, is_pinned, vector, *counts, status = by_hash[hash_of(text)]
        outcome = embedder.embed([text])
        assert (model, is_pinned) == ("tiny", True)
        assert counts == [outcome.token_counts[0], outcome.is_truncated[0]]
        assert status == outcome.statuses[0] == ("ok" if text.strip() else "blank")
        if text.strip():
            np.testing.assert_allclose(vector, outcome.embeddings[0], rtol=0, atol=SAME)
        else:
            assert vector is None
    assert by_hash[hash_of(LONG)][4] is True


def test_the_types_of_the_columns(project: Project) -> None:
    described = project.rows("select column_name, column_type from (describe titles)")

    assert described == [
        ("text_hash", "VARCHAR"),
        ("text", "VARCHAR"),
        ("model", "VARCHAR"),
        ("model_version", "VARCHAR"),
        ("embedding", "FLOAT[3]"),
        ("token_count", "INTEGER"),
        ("is_truncated", "BOOLEAN"),
        ("status", "VARCHAR"),
        ("embedded_at", "TIMESTAMP WITH TIME ZONE"),
        ("invocation_id", "VARCHAR"),
    ]


def test_a_text_that_fails_is_a_row_and_stops_no_other(project: Project) -> None:
    rows = stored(project, "text, embedding is null, status, text_hash", "titles")

    for text, has_none, status, text_hash in rows:
        assert text_hash == hash_of(text)
        assert status == ("error" if text.startswith("number") else "ok" if text else "blank")
        assert has_none == (status != "ok")
    assert len(rows) == 2 * len({title for _, title, _ in DOCS if title is not None})


def test_what_is_no_text_is_cast_to_one(project: Project) -> None:
    assert stored(project, "text", "ids") == [(str(id_),) for id_, *_ in DOCS]


def test_rows_with_embeddings_are_neither_lost_nor_doubled(
    project: Project, embedder: Embedder, tiny: Artifact
) -> None:
    rows = project.rows("select * from docs_embedded order by id")

    assert [row[:3] for row in rows] == DOCS
    for _, _, body, vector, version in rows:
        assert version == (None if body is None else tiny.version)
        if body is None or not body.strip():
            assert vector is None
        else:
            expected = embedder.embed([body]).embeddings[0]
            np.testing.assert_allclose(vector, expected, rtol=0, atol=SAME)


def test_with_embeddings_takes_an_expression_of_a_query(
    project: Project, strings: Artifact
) -> None:
    rows = project.rows("select id, text, status, model_version from titles_embedded order by id")

    titles = {title for _, title, _ in DOCS}
    assert rows == [
        (
            id_,
            title,
            "mine",
            strings.version if title is not None and title.lower() in titles else None,
        )
        for id_, title, _ in DOCS
    ]


def test_nothing_new_embeds_nothing(project: Project, reached: Reached) -> None:
    before = stored(project, "*")
    for arguments in ((), ("--full-refresh",)):
        done = run(project, "--select", "*", *arguments)
        assert done.success, done.errors
    assert reached.take() == {}
    assert stored(project, "*") == before


def test_only_what_is_new_is_embedded(project: Project, reached: Reached) -> None:
    before = stored(project, "*")
    project.insert("notes", [("a new note",), ("a new note",), ("é",)])
    project.execute("update raw_docs set title = 'a fox' where title = 'fox'")
    project.execute("delete from raw_docs where id = 5")
    done = run(project, "--select", "embedding_store+")

    assert done.success, done.errors
    assert reached.take() == {"a new note": 1, "a fox": 1}
    assert done.sent("count(*) from tf_embeddings_unknown") == []
    assert set(stored(project, "*")) - set(before) == set(
        project.rows(f"from embedding_store where invocation_id <> '{before[0][-1]}'")
    )
    assert len(stored(project, "*")) == len(before) + 2
    metrics = stored(project, "texts, total_texts", "embedding_store_metrics")
    assert metrics == [(2, len(before) + 2), (len(before), len(before))]


def test_a_full_refresh_embeds_again_where_it_is_told_to(
    project: Project, reached: Reached
) -> None:
    project.execute("delete from notes")
    done = run(project, "--full-refresh", full_refresh=True)

    assert done.success, done.errors
    left = {text for _, *texts in DOCS for text in texts} - {None}
    assert reached.take() == dict.fromkeys(left, 1)
    assert stored(project, "text_hash") == [(hash_,) for hash_ in sorted(map(hash_of, left))]


def test_a_bounded_run_goes_on_where_the_last_one_ended(project: Project, reached: Reached) -> None:
    project.execute("drop table embedding_store cascade")
    in_order = sorted(TEXTS, key=hash_of)
    for place in range(0, len(in_order), 6):
        done = run(project, max_new_texts=6)
        assert done.success, done.errors
        now = in_order[place : place + 6]
        assert reached.take() == dict.fromkeys(now, 1)
        new, left = len(in_order) - place, len(in_order) - place - len(now)
        assert (
            f"embedding_store: {new} new texts, embedding {len(now)} of them now; "
            f"{left} remain for the next run"
        ) in done.output


def test_a_run_in_portions_embeds_each_text_once(project: Project, reached: Reached) -> None:
    """Whatever the source, a first run or a later one, in sum at most what a run may embed."""
    project.execute("drop table embedding_store cascade; drop table bodies")
    bodies = {body for *_, body in DOCS if body is not None}
    done = run(project, "--select", "embedding_store", "bodies", portion=2)
    assert done.success, done.errors
    assert reached.take() == Counter(TEXTS) + Counter(bodies)
    for name, total in (("embedding_store", len(TEXTS)), ("bodies", len(bodies))):
        said = [line for line in done.printed if f"embedding_store: {name} has embedded" in line]
        assert said == [
            f"embedding_store: {name} has embedded {now} of {total} new texts"
            for now in [*range(2, total, 2), total]
        ]
        assert len(set(stored(project, "text_hash", name))) == total

    project.insert("notes", [(f"note {i}",) for i in range(7)])
    done = run(project, portion=2, max_new_texts=5)
    assert done.success, done.errors
    assert reached.take().total() == 5
    assert "has embedded 4 of 5 new texts" in done.output
    for arguments in (("--empty",), ()):
        done = run(project, *arguments, portion=2)
        assert done.success, done.errors
    assert reached.take().total() == 2
    assert "has embedded" not in done.output
    settings: dict[str, Any] = {"portion": 2, "full_refresh": True}
    done = run(project, "--full-refresh", **settings)
    assert done.success, done.errors
    assert reached.take().total() == len(TEXTS) + 7


def test_portions_of_a_store_that_begins_to_keep_texts_and_copies_others(
    project: Project, reached: Reached
) -> None:
    """Through the package's own store: compare_versions shows texts then."""
    project.execute("create table vectors as from embedding_store where text_hash < '8'")
    project.execute("delete from embedding_store")
    settings: dict[str, Any] = {"portion": 2, "shared_store": "main.vectors", "keep_text": True}
    done = run(project, **settings)

    assert done.success, done.errors
    missing = {text for text in TEXTS if hash_of(text) >= "8"}
    assert reached.take() == dict.fromkeys(missing, 1)
    assert stored(project, "text_hash, text") == sorted((hash_of(text), text) for text in TEXTS)


@pytest.mark.parametrize(
    "around", ["select * from (\n{}\n)", "{} where status = 'ok'", "{} limit 1"]
)
def test_a_store_with_other_sql_around_it_is_told_that_it_cannot_go_on(
    project: Project, around: str
) -> None:
    call = "{{ tf_embeddings.embedding_store({'ref': 'docs', 'column': 'title'}) }}"
    project.write("models/around.sql", around.format(call))
    done = run(project, "--select", "around", portion=2)
    whole = run(project, "--select", "around", portion=0)
    (project.folder / "models" / "around.sql").unlink()

    assert not done.success
    assert f"model.{NAME}.around has other SQL around embedding_store" in done.output
    assert whole.success, whole.errors


def test_a_parenthesis_in_a_text_and_a_hook_of_ones_own(project: Project) -> None:
    """The store goes on; the hook, which would read its first portion, is warned of."""
    source = """{'ref': 'docs', 'column': "replace(title, ':(', '')"}"""
    hook = "create or replace table published as from {{ this }}"
    project.write(
        "models/hooked.sql",
        f'{{{{ config(post_hook="{hook}") }}}}\n{{{{ tf_embeddings.embedding_store({source}) }}}}',
    )
    done = run(project, "--select", "hooked", portion=2)
    (project.folder / "models" / "hooked.sql").unlink()

    assert done.success, done.errors
    assert f"model.{NAME}.hooked has a post-hook that runs after the first portion" in done.output
    (published,), (stored,) = (
        project.rows(f"select count(*) from {relation}")[0] for relation in ("published", "hooked")
    )
    assert published == 2 < stored


def test_sources_have_conditions_and_expressions(project: Project, reached: Reached) -> None:
    sources = [
        {"ref": "docs", "column": "title || ' / ' || body", "where": "id = 1 or id = 2"},
        {"ref": "docs", "columns": ["title", "body"], "where": "id = 4"},
        {"ref": "docs", "column": "title", "where": "id = 4"},
        {"source": ["raw", "notes"], "column": "upper(note)"},
    ]
    done = run(project, "--full-refresh", sources=sources, full_refresh=True, keep_text=True)

    assert done.success, done.errors
    expected = {f"{title} / {body}" for id_, title, body in DOCS if id_ in (1, 2)}
    expected |= {body for id_, _, body in DOCS if id_ == 4}
    expected |= {note.upper() for note in NOTES if note is not None}
    assert reached.take() == dict.fromkeys(expected, 1)
    assert {text for (text,) in stored(project, "text")} == expected


def test_what_remains_of_an_ephemeral_source_is_not_counted(
    project: Project, reached: Reached
) -> None:
    project.insert("raw_docs", [(8, None, "one"), (9, None, "two"), (10, None, "three")])
    done = run(project, "--select", "bodies", max_new_texts=2)

    assert done.success, done.errors
    assert "embedding at most 2 new texts now; what remains is not counted" in done.output
    assert reached.take() == dict.fromkeys(sorted(["one", "two", "three"], key=hash_of)[:2], 1)


@pytest.mark.parametrize("command", ["test", "build"])
def test_a_unit_test_runs_the_store_and_reads_no_shared_one(project: Project, command: str) -> None:
    project.execute("create table vectors as select * replace ('blank' as status) from ids")
    settings = {"tf_embeddings_max_new_texts": 10, "tf_embeddings_shared_store": "main.vectors"}
    done = project.dbt(command, "--select", "ids", "--vars", json.dumps(settings))

    assert done.success, done.errors
    assert list(done.statuses.values()).count("pass") == 1


def test_what_the_shared_store_has_is_copied(project: Project, reached: Reached) -> None:
    project.execute("create schema team; create table team.vectors as from embedding_store")
    before = stored(project, "*", "team.vectors")
    project.execute("delete from team.vectors where status = 'ok' and not is_truncated")
    project.execute("update team.vectors set status = 'error' where is_truncated")
    project.execute("drop table embedding_store cascade")
    done = run(project, shared_store="team.vectors")

    assert done.success, done.errors
    blank = {text for text in TEXTS if not text.strip()}
    assert reached.take() == dict.fromkeys(TEXTS - blank, 1)
    after = stored(project, "*")
    assert [row[0] for row in after] == [row[0] for row in before]
    assert set(after) & set(before) == {row for row in before if row[6] == "blank"}


def test_a_bounded_run_counts_what_is_not_in_the_shared_store(
    project: Project, reached: Reached
) -> None:
    project.execute("create table vectors as from embedding_store where text_hash < '8'")
    project.execute("drop table embedding_store cascade")
    done = run(project, shared_store=f"{NAME}.main.vectors", max_new_texts=2)

    assert done.success, done.errors
    missing = sorted((text for text in TEXTS if hash_of(text) >= "8"), key=hash_of)
    assert reached.take() == dict.fromkeys(missing[:2], 1)
    assert f"{len(missing)} new texts, embedding 2 of them now" in done.output
    assert len(stored(project, "*")) == len(TEXTS) - len(missing) + 2


def test_a_store_does_not_read_through_to_itself(project: Project, reached: Reached) -> None:
    settings: dict[str, Any] = {"shared_store": "main.embedding_store", "full_refresh": True}
    done = run(project, "--full-refresh", **settings)

    assert done.success, done.errors
    assert reached.take() == dict.fromkeys(TEXTS, 1)


@pytest.mark.parametrize(("name", "type_"), [("titles", "float[3]"), ("raw_docs", "not there")])
def test_a_shared_store_of_another_type_is_passed_over(
    project: Project, reached: Reached, name: str, type_: str
) -> None:
    project.execute("drop table embedding_store cascade")
    done = run(project, shared_store=f"main.{name}")

    assert done.success, done.errors
    assert (
        f'embedding_store: nothing is copied from "{NAME}"."main"."{name}", whose column embedding '
        f"is {type_}; the vectors of model 'tiny' are float[8]"
    ) in done.output
    assert reached.take() == dict.fromkeys(TEXTS, 1)


def test_a_new_version_is_embedded_beside_the_old_one(
    project: Project,
    reached: Reached,
    tiny: Artifact,
    strings: Artifact,
    litert_tokens_model: tuple[Path, dict[str, Any]],
) -> None:
    """And only its rows are joined; the old ones stay, and cost nothing when one goes back."""
    newer = write_artifact(
        *litert_tokens_model, project.folder, model="tiny", prefix="a ", version="v" + "1" * 12
    )
    stage(project, newer)
    before = set(stored(project, "*"))
    pins = {"tiny": newer.pin(), "strings": strings.pin()}
    done = run(project, "--select", "embedding_store+", models=pins)

    assert done.success, done.errors
    assert reached.take() == dict.fromkeys(TEXTS, 1)
    after = set(stored(project, "*"))
    assert before < after
    assert {row[2] for row in after - before} == {newer.version}
    versions = project.rows("select distinct model_version from docs_embedded where body > ''")
    assert versions == [(newer.version,)]
    metrics = project.rows(
        "select model_version, texts, blank, failed, truncated, tokens > 0, total_texts, "
        "is_current from embedding_store_metrics order by embedded_at"
    )
    blank = sum(not text.strip() for text in TEXTS)
    counts = (len(TEXTS), blank, 0, 1, True, len(TEXTS))
    assert metrics == [(tiny.version, *counts, False), (newer.version, *counts, True)]

    done = run(project, "--select", "embedding_store+")
    assert done.success, done.errors
    assert reached.take() == {}
    assert set(stored(project, "*")) == after


def test_the_graph_and_the_hook_know_the_store(built: Built, tiny: Artifact) -> None:
    nodes = built.manifest["nodes"]
    store = nodes["model.tf_embeddings.embedding_store"]
    titles = nodes[f"model.{NAME}.titles"]

    assert sorted(store["depends_on"]["nodes"]) == [
        f"model.{NAME}.docs",
        f"source.{NAME}.raw.notes",
    ]
    said = {"sources": SOURCES, "model": None, "keep_text": False}
    assert store["config"]["meta"] == {
        "tf_embeddings_store": {**said, "pin": [tiny.version, tiny.build]}
    }
    assert set(titles["config"]["meta"]) == {"owner", "tf_embeddings_store"}
    assert titles["config"]["tags"] == ["mine"]
    for node in (store, titles):
        assert node["config"]["materialized"] == "incremental"
        assert node["config"]["unique_key"] == ["text_hash", "model_version"]
        assert node["config"]["full_refresh"] is False


def test_every_column_of_the_package_s_models_is_documented(built: Built, project: Project) -> None:
    for name in ("embedding_store", "embedding_store_metrics"):
        node = built.manifest["nodes"][f"model.tf_embeddings.{name}"]
        columns = project.rows(f"select column_name from (describe {name})")
        # No others: dbt's persist_docs warns of a column that is not there, such as text.
        assert list(node["columns"]) == [column for (column,) in columns]
        assert all(column["description"] for column in node["columns"].values())


WRONG = {
    "nothing": ("none", "sources is None; it must be a map, or a list of maps"),
    "no_map": ("['docs']", "sources has 'docs'; it must be a map, or a list of maps"),
    "no_column": ("{'ref': 'docs'}", "sources has {'ref': 'docs'}; it must be a map"),
    "misspelled": (
        "{'reff': 'docs', 'column': 'id'}",
        "sources has {'reff': 'docs', 'column': 'id'}; it must be a map",
    ),
    "no_table": (
        "{'source': 'raw', 'column': 'id'}",
        "sources has {'source': 'raw', 'column': 'id'}; ref must be a model's name, or its package "
        "and its name, source a pair of source and table.",
    ),
    "no_name": (
        "{'ref': ['docs'], 'column': 'id'}",
        "sources has {'ref': ['docs'], 'column': 'id'}; ref must be a model's name",
    ),
    "number": (
        "{'ref': 'docs', 'column': 1}",
        "sources has {'ref': 'docs', 'column': 1}; column must be a column or a SQL expression",
    ),
    "where": (
        "{'ref': 'docs', 'column': 'id', 'where': true}",
        "sources has {'ref': 'docs', 'column': 'id', 'where': True}; where must be a SQL condition",
    ),
    "keeps": ("{'ref': 'docs', 'column': 'id'}, keep_text='no'", "keep_text is 'no'; it must be"),
    "modeled": ("{'ref': 'docs', 'column': 'id'}, model='tinny'", "model 'tinny' is not in var"),
}


def test_errors_say_what_is_wrong(tiny: Artifact, tmp_path: Path) -> None:
    store = "{{{{ tf_embeddings.embedding_store({}) }}}}"
    files = {f"models/{name}.sql": store.format(given) for name, (given, _) in WRONG.items()}
    late = "{% if execute %}" + store.format("{'relation': 'docs', 'column': 'id'}") + "{% endif %}"
    files |= {"models/docs.sql": "select 1 as id", "models/late.sql": late}
    project = make_project(tmp_path / "project", artifacts=[tiny], files=files)
    done = project.dbt("run", "--exclude", "modeled")

    assert not done.success
    errors = {
        name: " ".join(" ".join(one for one in done.errors if f"model {name} " in one).split())
        for name in [*WRONG, "late"]
    }
    for name, (_, message) in WRONG.items():
        if name != "modeled":
            assert f"embedding_store: {message}" in errors[name], name
    assert f"model.{NAME}.late has the config materialized: table; it must be" in errors["late"]
    assert WRONG["modeled"][1] in project.dbt("run", "--select", "modeled").output


def test_a_store_holds_vectors_of_one_type(
    project: Project,
    reached: Reached,
    litert_tokens_model: tuple[Path, dict[str, Any]],
    tmp_path: Path,
) -> None:
    short = write_artifact(*shortened(litert_tokens_model, 5), tmp_path, model="short")
    stage(project, short)
    done = run(project, models={"short": short.pin()}, default_model="short")

    assert not done.success
    assert (
        'embedding_store: "a_project"."main"."embedding_store" holds vectors of the type float[8], '
        "and those of model 'short' are float[5]; a store holds vectors of one type."
    ) in done.output
    assert reached.take() == {}


@pytest.mark.parametrize(
    ("key", "value", "needed"),
    [
        ("materialized", "table", "incremental"),
        ("full_refresh", True, "False"),
        ("incremental_strategy", "delete+insert", "append"),
        ("unique_key", "id", "['text_hash', 'model_version']"),
    ],
)
def test_a_project_that_would_have_it_embed_again_is_an_error(
    project: Project, reached: Reached, key: str, value: object, needed: str
) -> None:
    before = (project.folder / "dbt_project.yml").read_text(encoding="utf-8")
    project.configure(models={f"+{key}": value})
    done = run(project, "--full-refresh")
    project.write("dbt_project.yml", before)

    assert not done.success
    assert (
        f"embedding_store: model.tf_embeddings.embedding_store has the config {key}: {value}; "
        f"it must be {needed}, otherwise existing texts may be embedded again."
    ) in done.output
    assert reached.take() == {}


def test_sources_that_dbt_did_not_parse_are_an_error(project: Project) -> None:
    """Prune would look at those that it parsed, and delete the texts of the others."""
    project.write(
        "models/hidden.sql",
        "{% set columns = ['title', 'body'] if execute else ['title'] %}"
        "{{ tf_embeddings.embedding_store({'ref': 'docs', 'columns': columns}) }}",
    )
    done = run(project, "--select", "hidden")
    (project.folder / "models" / "hidden.sql").unlink()

    assert not done.success
    assert "embedding_store: the sources of model.a_project.hidden are {" in done.output
    assert "but dbt parsed [{" in done.output


def test_columns_that_differ_in_case_are_two(project: Project) -> None:
    columns = ["'Title: ' || title", "'title: ' || title"]
    done = run(project, "--full-refresh", sources={"ref": "docs", "columns": columns})

    assert done.success, done.errors
    held = {text_hash for (text_hash,) in stored(project, "text_hash")}
    assert {hash_of("Title: fox"), hash_of("title: fox")} <= held


def test_a_shared_store_with_a_text_twice_is_an_error(project: Project, reached: Reached) -> None:
    project.execute("create schema other; create table other.held as from embedding_store")
    project.execute("insert into other.held from other.held; delete from embedding_store")
    done = run(project, shared_store="other.held")

    assert not done.success
    assert '"other"."held", the relation of var tf_embeddings_shared_store, has texts more' in (
        done.output
    )
    assert stored(project, "text_hash") == []


def test_what_the_store_lacks_is_said(project: Project) -> None:
    project.execute("delete from embedding_store")
    done = run(project, "--select", "docs_embedded")
    assert done.success
    assert "has no row of model 'tiny', version v" in done.output
    assert "so docs_embedded has no vectors." in done.output

    project.execute("drop view embedding_store_metrics; drop table embedding_store")
    done = run(project, "--select", "docs_embedded")
    assert not done.success
    assert "is not built yet. Build it and this model with: dbt build --select +" in (done.output)


def test_a_relation_that_has_vectors_gets_no_second_ones(project: Project) -> None:
    sql = "{{ tf_embeddings.with_embeddings(relation=ref('embedding_store'), text='text_hash', "
    with pytest.raises(RuntimeError, match='Ambiguous reference to column name "embedding"'):
        project.show(sql + "store=ref('embedding_store')) }}")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_new_texts", "9", "var tf_embeddings_max_new_texts is '9'; it must be a whole number"),
        ("portion", -1, "var tf_embeddings_portion is -1; it must be a whole number, 0 for all"),
        ("keep_text", "yes", "var tf_embeddings_keep_text is 'yes'; it must be true or"),
        ("shared_store", "vectors", "is 'vectors'; it must be schema.name or database.schema.name"),
        ("shared_store", "main.nothing", "'main.nothing', a relation that does not exist"),
        ("sources", "docs", "sources is 'docs'; it must be"),
        ("full_refresh", "yes", "var tf_embeddings_full_refresh is 'yes'; it must be true or"),
    ],
)
def test_a_wrong_setting_stops_the_run_and_not_the_parsing(
    project: Project, name: str, value: object, message: str
) -> None:
    done = run(project, **{name: value})

    assert not done.success
    assert message in done.output
    assert done.statements, "it stopped at parsing"


def test_a_model_may_be_called_store(strings: Artifact, tmp_path: Path, reached: Reached) -> None:
    """Its mark and the store's own meta had one key."""
    named = replace(strings, model="store")
    files = {
        "models/words.sql": "select 'fox' as word",
        "models/vectors.sql": (
            "{{ tf_embeddings.embedding_store({'ref': 'words', 'column': 'word'}, 'store') }}"
        ),
    }
    project = make_project(tmp_path / "project", files=files)
    project.pin(store=named.pin())
    done = project.dbt("run", "--select", "words vectors")

    assert "the artifact of model 'store'" in done.output
    assert reached.take() == {}


def test_a_store_that_begins_to_keep_its_texts(
    strings: Artifact, tmp_path: Path, reached: Reached
) -> None:
    """And begins with a single text, for which DuckDB called the function to plan the query."""
    store = "{{{{ tf_embeddings.embedding_store({{'ref': 'words', 'column': 'word'}}{}) }}}}"
    files = {"models/words.sql": "select 'a' as word", "models/vectors.sql": store.format("")}
    project = make_project(tmp_path / "project", artifacts=[strings], files=files)
    first = project.dbt("run")
    assert first.success, first.errors
    project.write("models/words.sql", "select unnest(['a', 'b']) as word")
    project.write("models/vectors.sql", store.format(", keep_text=true"))
    second = project.dbt("run")
    assert second.success, second.errors
    project.write("models/words.sql", "select unnest(['a', 'b', 'c']) as word")
    project.write("models/vectors.sql", store.format(""))
    third = project.dbt("run")
    assert third.success, third.errors

    assert reached.take() == {"a": 1, "b": 1, "c": 1}
    assert project.rows("select text from vectors order by text") == [("b",), (None,), (None,)]


@pytest.fixture
def cloned(strings: Artifact, tmp_path: Path) -> Project:
    """A project with a target `ci` beside its own, in another schema; the latter is built."""
    files = {
        "models/words.sql": "select unnest(['a', 'b']) as word",
        "models/vectors.sql": (
            "{{ tf_embeddings.embedding_store({'ref': 'words', 'column': 'word'}) }}"
        ),
        "models/joined.sql": (
            "{{ tf_embeddings.with_embeddings(ref('words'), 'word', ref('vectors')) }}"
        ),
    }
    project = make_project(tmp_path / "project", artifacts=[strings], files=files)
    profiles = yaml.safe_load((project.folder / "profiles.yml").read_text())
    outputs = profiles[NAME]["outputs"]
    outputs["ci"] = {**outputs["dev"], "schema": "ci"}
    project.write_yaml("profiles.yml", profiles)
    return project


def test_a_clone_of_a_store_is_a_view_and_is_not_embedded_again(
    cloned: Project, reached: Reached
) -> None:
    assert cloned.dbt("build", "--write-json").success
    assert reached.take() == {"a": 1, "b": 1}
    shutil.copytree(cloned.folder / "target", cloned.folder / "state")
    ci = ("--target", "ci")
    assert cloned.dbt("clone", "--state", "state", *ci).success
    run = cloned.dbt("run", *ci)

    assert not run.success
    assert run.status("vectors") == "error"
    assert reached.take() == {}
    assert (
        'embedding_store: "a_project"."ci"."vectors" is a view, which dbt clone makes if it '
        "cannot copy tables. A run would replace it and embed all its texts again. Drop the view, "
        "and name the store that it shows in var tf_embeddings_shared_store: the new store copies "
        "its rows."
    ) in run.output

    cloned.execute("drop view ci.vectors")
    shared = json.dumps({"tf_embeddings_shared_store": "main.vectors"})
    run = cloned.dbt("run", *ci, "--vars", shared)
    assert run.success, run.errors
    assert reached.take() == {}
    assert cloned.rows("select count(embedding) from ci.joined") == [(2,)]


def test_a_run_of_nothing_is_no_reason_to_warn(cloned: Project, reached: Reached) -> None:
    run = cloned.dbt("--warn-error", "run", "--empty")
    assert run.success, run.errors
    assert reached.take() == {}
    assert cloned.dbt("--warn-error", "run", "--select", "joined").success is False


def test_a_retry_does_what_the_run_was_to_do(cloned: Project, reached: Reached) -> None:
    """It asks for the models, copies from the shared store and warns as that would."""
    assert cloned.dbt("build").success
    reached.take()
    shared = json.dumps({"tf_embeddings_shared_store": "main.vectors"})
    words = (cloned.folder / "models/words.sql").read_text()
    cloned.write("models/words.sql", "select nothing")
    assert not cloned.dbt("run", "--write-json", "--target", "ci", "--vars", shared).success
    cloned.write("models/words.sql", words.replace("'b'", "'b', 'c'"))
    run = cloned.dbt("retry", "--target", "ci")

    assert run.success, run.errors
    assert reached.take() == {"c": 1}
    assert run.sent("tf_embeddings_check('strings'")
    assert cloned.rows("select count(embedding) from ci.joined") == [(3,)]
