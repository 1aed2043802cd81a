"""The operations on a store: estimate, prune and compare_versions, on DuckDB."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import load_artifact
from duckdb_projects import PACKAGE, Project, Run, make_project
from makers import Artifact, shortened, write_artifact
from tf_embeddings_udf import Embedder

NOTES = [
    "the quick brown fox",
    "the lazy dog",
    "a person is riding a horse",
    "where is my invoice",
    "the quick brown fox",
    " ",
    None,
    *(
        f"the {one} {other}"
        for one in ("fox", "horse", "person")
        for other in ("jumps", "is", "my")
    ),
]
CHATS = [
    ("how do i reset my password", "on a sunny day"),
    ("the lazy dog", "a fox " * 20),
]
TEXTS = sorted({text for text in NOTES if text is not None} | {one for row in CHATS for one in row})
SOURCES = [{"ref": "notes", "column": "body"}, {"source": ["crm", "chats"], "columns": ["q", "a"]}]
STORE = "{{{{ tf_embeddings.embedding_store({}{}) }}}}"
FILES = {
    "models/crm.yml": json.dumps(
        {
            "version": 2,
            "sources": [{"name": "crm", "schema": "main", "tables": [{"name": "chats"}]}],
        }
    ),
    "models/notes.sql": "{{ config(materialized='view') }} select body from main.raw_notes",
    "models/store.sql": STORE.format(SOURCES, ", keep_text=true"),
    "models/short_store.sql": STORE.format(SOURCES, ", model='short'"),
    "models/passed_store.sql": (
        "{{ tf_embeddings.embedding_store({'relation': ref('notes'), 'column': 'body'}) }}"
    ),
    "models/strings_store.sql": STORE.format(SOURCES[:1], ", model='strings'"),
}


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def prefixed(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The tiny model with a prefix: vectors of the same length, and other neighbors."""
    folder = tmp_path_factory.mktemp("prefixed")
    version = "v" + "0" * 11 + "1"
    return write_artifact(
        *litert_tokens_model, folder, model="prefixed", prefix="invoice day ", version=version
    )


@pytest.fixture(scope="module")
def short(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """A model whose vectors are shorter."""
    folder = tmp_path_factory.mktemp("short")
    return write_artifact(*shortened(litert_tokens_model, 5), folder, model="short")


@pytest.fixture(scope="module")
def built(
    tiny: Artifact,
    prefixed: Artifact,
    short: Artifact,
    strings: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project whose stores hold all texts, the first one those of two versions."""
    project = make_project(
        tmp_path_factory.mktemp("dbt") / "project",
        artifacts=[tiny, prefixed, short, strings],
        files=FILES,
    )
    project.execute("create table raw_notes (body varchar)")
    project.execute("create table chats (q varchar, a varchar)")
    project.insert("raw_notes", [(text,) for text in NOTES])
    project.insert("chats", CHATS)
    for default, selected in {
        "prefixed": "+store",
        "tiny": "+store short_store strings_store",
    }.items():
        set_vars(project, default_model=default)
        run = project.dbt("run", "--select", selected)
        assert run.success, run.errors
    shutil.copy(project.database, project.database.with_suffix(".built"))
    return project


@pytest.fixture
def project(built: Project) -> Project:
    """The same, as it was when it was built."""
    shutil.copy(built.database.with_suffix(".built"), built.database)
    set_vars(built, default_model="tiny")
    return built


def set_vars(project: Project, **settings: object) -> None:
    """Set vars, without their prefix, and of all others only the pins."""
    content = yaml.safe_load((project.folder / "dbt_project.yml").read_text(encoding="utf-8"))
    settings = {"models": content["vars"]["tf_embeddings_models"], **settings}
    project.configure(vars={f"tf_embeddings_{name}": value for name, value in settings.items()})


def operation(project: Project, name: str, **arguments: object) -> Run:
    """Call an operation; its arguments are what a user writes after --args, as YAML."""
    return project.dbt("run-operation", f"tf_embeddings.{name}", "--args", json.dumps(arguments))


def neighbors_of(vectors: np.ndarray, hashes: list[str], k: int) -> list[list[str]]:
    """Return the hashes of the k nearest others of each vector, as NumPy finds them."""
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return [[hashes[place] for place in np.argsort(-row, kind="stable")[:k]] for row in similarity]


def agreement(one: Embedder, other: Embedder, k: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return hashes in order, the recall of each, and whether its nearest is the same."""
    texts = sorted((text for text in TEXTS if text.strip()), key=hash_of)
    hashes = [hash_of(text) for text in texts]
    found = [neighbors_of(each.embed(texts).embeddings, hashes, k) for each in (one, other)]
    pairs = list(zip(*found, strict=True))
    recall = np.array([len(set(a) & set(b)) / k for a, b in pairs])
    return hashes, recall, np.array([a[0] == b[0] for a, b in pairs])


def test_compare_versions_gives_what_numpy_gives(
    project: Project, tiny: Artifact, prefixed: Artifact, tiny_embedder: Embedder
) -> None:
    hashes, recall, same = agreement(tiny_embedder, load_artifact(prefixed), k=3)
    run = operation(project, "compare_versions", model="tiny", other="prefixed", store="store", k=3)

    assert run.success, run.errors
    assert 0.2 < recall.mean() < 0.9
    count = len(hashes)
    assert run.said[:6] == [
        f"tiny {tiny.version}: {count} texts in 'store'",
        f"prefixed {prefixed.version}: {count} texts in 'store'",
        f"In both: {count} texts, {count} of them compared.",
        f"Mean recall@3 of their nearest neighbors: {recall.mean():.3f}",
        f"Texts whose nearest neighbor is the same: {100 * same.mean():.1f} %",
        "The texts with the lowest recall:",
    ]
    least = sorted(zip(recall, hashes, strict=True))[:5]
    text_of = {hash_of(text): text if len(text) <= 80 else text[:79] + "…" for text in TEXTS}
    assert [line.split(maxsplit=2) for line in run.said[7:]] == [
        [f"{value:.3f}", key, text_of[key]] for value, key in least
    ]


def test_compare_versions_of_two_stores_with_vectors_of_two_lengths(
    project: Project, short: Artifact, tiny_embedder: Embedder
) -> None:
    hashes, recall, same = agreement(tiny_embedder, load_artifact(short), k=2)
    run = operation(
        project,
        "compare_versions",
        model="tiny",
        other=short.version,
        store="store",
        other_store="short_store",
        k=2,
        sample=6,
    )

    assert run.success, run.errors
    assert run.said[1:5] == [
        f"version {short.version}: {len(hashes)} texts in 'short_store'",
        f"In both: {len(hashes)} texts, 6 of them compared.",
        f"Mean recall@2 of their nearest neighbors: {recall[:6].mean():.3f}",
        f"Texts whose nearest neighbor is the same: {100 * same[:6].mean():.1f} %",
    ]


def estimated(run: Run) -> list[str]:
    """Return the cells of the one row that estimate prints below its header."""
    assert run.success, run.errors
    header, row = run.said[:2]
    names = ["model", "version", "texts", "in store", "in shared store", "to embed", "tokens"]
    starts = [header.index(f"{name} ") for name in names] + [header.index("truncated")]
    ends = [*starts[1:], None]
    return [row[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def tokens_of(embedder: Embedder, texts: list[str]) -> list[str]:
    """Return what estimate counts of texts, as the runtime counts it: tokens, truncated texts."""
    outcomes = embedder.embed(texts)
    return [str(outcomes.token_counts.sum()), str(outcomes.is_truncated.sum())]


def test_estimate_of_a_store_that_is_not_built_counts_every_text(
    project: Project, tiny: Artifact, tiny_embedder: Embedder
) -> None:
    project.execute("drop table store")
    run = operation(project, "estimate", store="store")

    count, tokens = str(len(TEXTS)), tokens_of(tiny_embedder, TEXTS)
    assert tokens[1] == "1"
    assert estimated(run) == ["tiny", tiny.version, count, "0", "-", count, *tokens]
    assert "Store 'store' is not built yet." in run.said
    assert project.rows("select * from duckdb_tables() where table_name = 'store'") == []


def test_estimate_counts_what_the_next_runs_have_to_embed(
    project: Project, tiny: Artifact, tiny_embedder: Embedder
) -> None:
    new = ["a new text", "the new text of a person on a sunny day " * 3, "NEW"]
    project.insert("raw_notes", [(text,) for text in [*new, new[0], "the lazy dog"]])
    set_vars(project, default_model="tiny", max_new_texts=2)
    run = operation(project, "estimate", store="store")

    counts = [str(len(TEXTS) + 3), str(len(TEXTS)), "-", "3"]
    assert estimated(run) == ["tiny", tiny.version, *counts, *tokens_of(tiny_embedder, new)]
    assert run.said[2:] == [
        "2 runs: each embeds at most 2 texts (var tf_embeddings_max_new_texts)."
    ]
    assert all(one.startswith(("select", "with")) for one in run.sent("notes")), run.statements


def test_estimate_counts_what_the_shared_store_has(
    project: Project, tiny: Artifact, tiny_embedder: Embedder
) -> None:
    project.execute("create table shared as from store")
    refused = {"where is my invoice": "error", "on a sunny day": "unknown"}
    for text, status in refused.items():
        project.execute(f"update shared set status = '{status}' where text = '{text}'")
    taken = str(("the lazy dog", " ", *refused))
    project.execute(f"delete from store where text in {taken}")
    set_vars(project, default_model="tiny", shared_store="main.shared")
    run = operation(project, "estimate", store="store")

    tokens = tokens_of(tiny_embedder, list(refused))
    counts = [str(len(TEXTS)), str(len(TEXTS) - 4), "2", "2"]
    assert estimated(run) == ["tiny", tiny.version, *counts, *tokens]


def test_estimate_groups_the_texts_alone(project: Project) -> None:
    """And no store, however large it is; where a store has a text twice, it counts once."""
    project.execute("create table shared as from strings_store")
    project.execute("insert into strings_store from strings_store")
    set_vars(project, default_model="tiny", shared_store="main.shared")
    run = operation(project, "estimate", store="strings_store")

    notes = str(len({text for text in NOTES if text is not None}))
    assert estimated(run)[2:6] == [notes, notes, "0", "0"]
    [sql] = run.sent("tf_embeddings_placed")
    [(_, plan)] = project.rows(f"explain {sql}")
    assert plan.upper().replace("_", " ").count("HASH GROUP BY") == 1, plan


def test_estimate_of_a_model_that_cannot_count_tokens(project: Project, strings: Artifact) -> None:
    project.execute("delete from strings_store where status = 'ok'")
    run = operation(project, "estimate", store="strings_store")

    notes = {text for text in NOTES if text is not None}
    counts = [str(len(notes)), "1", "-", str(len(notes) - 1)]
    assert estimated(run) == ["strings", strings.version, *counts, "-", "-"]


def test_estimate_of_the_store_of_the_package(project: Project, tiny: Artifact) -> None:
    sources = [SOURCES[0], {"relation": "main.chats", "columns": ["q", "lower(a)"]}]
    set_vars(project, default_model="tiny", sources=sources)
    run = operation(project, "estimate")

    count = str(len(TEXTS))
    assert estimated(run)[:6] == ["tiny", tiny.version, count, "0", "-", count]


def test_estimate_of_what_is_done(project: Project, tiny: Artifact) -> None:
    run = operation(project, "estimate", store="store")

    count = str(len(TEXTS))
    assert estimated(run) == ["tiny", tiny.version, count, count, "-", "0", "0", "0"]


def test_prune_lists_the_texts_that_no_source_has_any_more(
    project: Project, tiny: Artifact, prefixed: Artifact
) -> None:
    project.execute("delete from raw_notes where body in ('the lazy dog', 'where is my invoice')")
    before = project.rows("from store order by all")
    run = operation(project, "prune", store="store")

    assert run.success, run.errors
    assert [line.split(maxsplit=3) for line in run.said[:3]] == [
        ["model", "version", "rows", "why"],
        ["prefixed", prefixed.version, "1", "no source has the text"],
        ["tiny", tiny.version, "1", "no source has the text"],
    ]
    assert run.said[3].startswith("Nothing was deleted. ")
    assert project.rows("from store order by all") == before


def test_prune_deletes_them_for_good(project: Project) -> None:
    project.execute("delete from raw_notes where body in ('the lazy dog', 'where is my invoice')")
    run = operation(project, "prune", store="store", drop=True)

    assert run.success, run.errors
    assert run.said[-1] == "Deleted 2 rows of 'store'."
    [(texts, rows)] = project.rows("select count(distinct text), count(*) from store")
    assert (texts, rows) == (len(TEXTS) - 1, 2 * (len(TEXTS) - 1))
    assert project.rows("from store where text = 'where is my invoice'") == []

    run = operation(project, "prune", store="store", drop=True)
    assert run.said == ["Nothing to prune in 'store'."]


def test_prune_deletes_versions_that_no_pin_names_and_what_failed(
    project: Project, tiny: Artifact
) -> None:
    project.execute(f"update store set model_version = 'v{'f' * 12}' where model = 'prefixed'")
    project.execute("update store set status = 'error' where text = 'the lazy dog'")
    run = operation(project, "prune", store="store", what=["versions", "failed"], drop=True)

    assert run.success, run.errors
    assert [line.split(maxsplit=3) for line in run.said[1:-1]] == [
        ["prefixed", "v" + "f" * 12, str(len(TEXTS)), "no pin names the version"],
        ["tiny", tiny.version, "1", "the model failed on the text"],
    ]
    assert project.rows("select model, count(*) from store group by all") == [
        ("tiny", len(TEXTS) - 1)
    ]


def test_prune_takes_nothing_that_it_was_not_asked_for(project: Project) -> None:
    project.execute("update store set model_version = 'v000000000000' where model = 'prefixed'")
    project.execute("update store set status = 'error' where text = 'the lazy dog'")

    assert operation(project, "prune", store="store", drop=True).said == [
        "Nothing to prune in 'store'."
    ]
    run = operation(project, "prune", store="store", what="failed")
    assert [line.split()[2] for line in run.said[1:-1]] == ["1", "1"]


def test_prune_refuses_sources_that_hold_no_text(project: Project) -> None:
    project.execute("update raw_notes set body = null")
    before = project.rows("from store order by all")
    run = operation(project, "prune", store="store", drop=True)
    assert not run.success
    assert (
        'prune: source "a_project"."main"."notes" of store '
        "'store' has no texts, so all that "
        "came from it would be deleted. Build it first or, if it should be empty, add "
        "allow_empty: true to --args."
    ) in run.output
    assert project.rows("from store order by all") == before

    run = operation(project, "prune", store="store")
    assert run.success, run.errors
    assert run.said[0].startswith("Source ")
    assert run.said[0].endswith(" has no texts.")
    assert run.said[-1].startswith("Nothing was deleted. ")

    run = operation(project, "prune", store="store", drop=True, allow_empty=True)
    assert run.success, run.errors
    left = {text for (text,) in project.rows("select text from store")}
    assert left == {text for row in CHATS for text in row}


def test_prune_refuses_where_no_source_holds_a_text(project: Project) -> None:
    project.execute("update raw_notes set body = null")
    project.execute("delete from chats")
    before = project.rows("from store order by all")
    for arguments in ({}, {"drop": True}, {"drop": True, "allow_empty": True}):
        run = operation(project, "prune", store="store", **arguments)
        assert not run.success
        assert "prune: none of the sources of store 'store' holds a text" in run.output
    assert project.rows("from store order by all") == before


def test_prune_says_how_many_rows_it_deleted(project: Project) -> None:
    """A row without a hash is counted, and there is nothing to find it by."""
    project.execute("delete from raw_notes where body = 'where is my invoice'")
    project.execute("update store set text_hash = null where text = 'on a sunny day'")
    run = operation(project, "prune", store="store", drop=True)

    assert [line.split()[2] for line in run.said[1:-1]] == ["2", "2"]
    assert run.said[-1] == "Deleted 2 rows of 'store'."
    assert project.rows("select count(*) from store") == [(2 * len(TEXTS) - 2,)]


@pytest.mark.parametrize("name", ["estimate", "prune"])
def test_an_operation_cannot_read_an_ephemeral_source(project: Project, name: str) -> None:
    store = "select * from store"
    before = project.rows(f"{store} order by all")
    project.write("models/notes.sql", FILES["models/notes.sql"].replace("view", "ephemeral"))
    try:
        run = operation(project, name, store="store")
        failed = operation(project, "prune", store="store", what="failed", drop=True)
    finally:
        project.write("models/notes.sql", FILES["models/notes.sql"])

    assert not run.success
    assert (
        f"{name}: model.a_project.notes, a source of store 'store', is ephemeral, so an "
        "operation cannot read it. Materialize it as a view, in models/notes.sql."
    ) in run.output
    assert failed.said == ["Nothing to prune in 'store'."]
    assert project.rows(f"{store} order by all") == before


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        (
            "estimate",
            {},
            "estimate: store 'embedding_store' is not a store of this project (it has: "
            "passed_store, short_store, store, strings_store). Name one of them in --args "
            "'{store: …}'.",
        ),
        (
            "prune",
            {"store": "passed_store"},
            "prune: a source of store 'passed_store' is a relation passed as an object, which only "
            "the build of the store knows. Write it as {'ref': '…', …} in "
            "models/passed_store.sql.",
        ),
        ("prune", {"store": "notes"}, "prune: store 'notes' is not a store of this project"),
        ("prune", {"store": "store", "what": ["all"]}, "prune: what is ['all']; it must be a list"),
        ("prune", {"store": "store", "what": []}, "prune: what is []; it must be a list of any of"),
        ("prune", {"store": "store", "drop": "yes"}, "prune: drop is 'yes'; it must be true, to"),
        (
            "prune",
            {"store": "store", "drop": True, "allow_empty": 1},
            "prune: allow_empty is 1; it must be true, to delete the rows of sources without texts",
        ),
        (
            "compare_versions",
            {"model": "tiny", "other": "use", "store": "store"},
            "compare_versions: model 'use' is not in var tf_embeddings_models",
        ),
        (
            "compare_versions",
            {"model": "tiny", "other": None, "store": "store"},
            "compare_versions: other is None; it must be the name of a model",
        ),
        (
            "compare_versions",
            {"model": "tiny", "other": "tiny", "store": "store"},
            "compare_versions: model and other are both version",
        ),
        (
            "compare_versions",
            {"model": "tiny", "other": "short", "store": "store"},
            "compare_versions: fewer than two texts have a vector of both tiny",
        ),
        (
            "compare_versions",
            {"model": "tiny", "other": "prefixed", "store": "store", "k": 0},
            "compare_versions: k is 0; it must be a whole number from 1, the number of neighbors "
            "of a text.",
        ),
        (
            "compare_versions",
            {"model": "tiny", "other": "prefixed", "store": "store", "sample": 1.5},
            "compare_versions: sample is 1.5; it must be a whole number from 1, the number of "
            "texts to compare.",
        ),
    ],
)
def test_an_operation_refuses_what_it_cannot_do(
    project: Project, name: str, arguments: dict[str, object], error: str
) -> None:
    run = operation(project, name, **arguments)

    assert not run.success
    assert error in run.output


def test_operations_on_a_store_that_is_not_built(project: Project) -> None:
    project.execute("drop table store")

    run = operation(project, "prune", store="store", drop=True)
    assert run.said == ["Store 'store' is not built yet; there is nothing to prune."]

    run = operation(project, "compare_versions", model="tiny", other="prefixed", store="store")
    assert "compare_versions: store 'store' is not built yet. Build it with: dbt run" in run.output


def test_prune_refuses_to_take_all_versions(project: Project) -> None:
    project.configure(vars={})
    run = operation(project, "prune", store="store", what=["versions"], drop=True)

    assert not run.success
    assert "prune: var tf_embeddings_models has no models, so every version would" in run.output


@pytest.fixture(scope="module")
def named(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two versions of a store, and one that another package has by the same name."""
    texts = {"old": "an old text", "new": "a new text", "other": "another text"}
    store = "{{{{ config(alias='{0}_store') }}}} {{{{ tf_embeddings.embedding_store({1}) }}}}"
    project = make_project(
        tmp_path_factory.mktemp("dbt") / "project",
        artifacts=[tiny],
        files={
            "packages.yml": f"packages: [{{local: {PACKAGE}}}, {{local: other}}]",
            "other/dbt_project.yml": "{name: other, version: 1.0.0, config-version: 2}",
            **{
                f"{'other/' if name == 'other' else ''}models/{name}.sql": (
                    f"{{{{ config(materialized='view') }}}} select '{text}' as body"
                )
                for name, text in texts.items()
            },
            "models/tickets.yml": (
                "models: [{name: tickets, latest_version: 2, versions: [{v: 1}, {v: 2}]}]"
            ),
            "models/tickets_v1.sql": store.format("old", {"ref": "old", "column": "body"}),
            "models/tickets_v2.sql": store.format("new", {"ref": "new", "column": "body"}),
            "models/mails.sql": store.format("mail", {"ref": "new", "column": "body"}),
            "other/models/mails.sql": store.format("other", {"ref": "other", "column": "body"}),
        },
    )
    run = project.dbt("run")
    assert run.success, run.errors
    return project


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("tickets.v1", "old_store"),
        ("tickets.v2", "new_store"),
        ("a_project.mails", "mail_store"),
        ("other.mails", "other_store"),
    ],
)
def test_prune_takes_the_store_of_this_version_and_package(
    named: Project, name: str, table: str
) -> None:
    assert operation(named, "prune", store=name).said == [f"Nothing to prune in '{name}'."]
    named.execute(f"update {table} set text_hash = 'gone'")
    run = operation(named, "prune", store=name, drop=True)

    assert run.success, run.errors
    assert named.rows(f"select count(*) from {table}") == [(0,)]
    assert run.said[-1] == f"Deleted 1 rows of '{name}'."


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("tickets", "tickets.v1, tickets.v2"),
        ("a_project.tickets", "tickets.v1, tickets.v2"),
        ("mails", "a_project.mails, other.mails"),
    ],
)
def test_an_operation_refuses_the_name_of_several_stores(
    named: Project, name: str, names: str
) -> None:
    tables = ["old_store", "new_store", "mail_store", "other_store"]
    counts = [named.rows(f"select count(*) from {table}") for table in tables]
    run = operation(named, "prune", store=name, drop=True)

    assert not run.success
    assert (
        f"prune: store '{name}' is the name of several stores: {names}. Name one of them in "
        "--args '{store: …}'."
    ) in run.output
    assert counts == [named.rows(f"select count(*) from {table}") for table in tables]

    run = operation(named, "estimate", store="ticket")
    assert (
        "store 'ticket' is not a store of this project (it has: a_project.mails, other.mails, "
        "tickets.v1, tickets.v2)."
    ) in run.output
