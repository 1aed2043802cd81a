"""Whatever happens, the store has the right rows, and no text is embedded needlessly.

dbt's statements for a store, on its first run and on later ones, run hundreds of times on a
separate DuckDB, in the transactions of dbt's materialization and with the plugin's real function.
The expected rows come from plain Python, hashlib's SHA-256, and the runtime, one text at a time.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pytest
from conftest import load_artifact
from counting import Reached, counted
from duckdb_projects import Run, make_project
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from makers import Artifact, shortened, write_artifact
from tf_embeddings_duckdb import Plugin
from tf_embeddings_udf.planner import Outcomes

SAME = 1e-6
MOST_NEW = 2

SOURCES = """
version: 2
sources:
  - name: raw
    schema: main
    tables: [{name: docs}, {name: notes}]
"""

STORE = """
{{{{ tf_embeddings.embedding_store(
  [
    {{'source': ['raw', 'docs'], 'columns': ['title', "nullif(body, 'draft')"]}},
    {{'source': ['raw', 'notes'], 'column': 'note'}},
  ],
  model='{model}',
  keep_text=true,
) }}}}
"""

TABLES = {"docs": ("title", "body"), "notes": ("note",)}
TEXTS = [
    "fox",
    "Fox",
    "fox ",
    'the fox\'s "dog"',
    "é",
    "e\u0301",
    "a\x00b",
    "a",
    "draft",
    "",
    " \t\n",
    "number: seven",  # breaks the model of strings
    "not a number",  # so does this
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",  # too long for the model of tokens
    None,
]

Setting = Literal["plain", "portions", "bounded", "shared", "rebuild"]
VARIABLES: dict[Setting, dict[str, object]] = {
    "plain": {"tf_embeddings_portion": 0},
    "portions": {"tf_embeddings_portion": MOST_NEW},
    "bounded": {"tf_embeddings_max_new_texts": MOST_NEW},
    "shared": {
        "tf_embeddings_max_new_texts": MOST_NEW,
        "tf_embeddings_shared_store": "main.shared",
    },
    "rebuild": {"tf_embeddings_full_refresh": True},
}
INVOCATION = "invocation_id of the run"

TEXT = st.sampled_from(TEXTS)
MODEL = st.sampled_from(["strings", "tokens"])
SETTING = st.sampled_from(list(VARIABLES))

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Embedded:
    """A row of the store."""

    text: str
    model: str
    invocation_id: str


Store = dict[tuple[str, str], Embedded]  # by text_hash and model_version


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Expected:
    """The expected sources and store, and what a run must embed."""

    outcome: Callable[[str, str], Outcomes]  # of a model and a text by itself
    versions: dict[str, str]  # by model
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    store: Store | None = None  # None: it does not exist
    shared: Store = field(default_factory=dict)

    def texts(self) -> set[str]:
        """Return the distinct texts of the sources."""
        titles = {title for title, _ in self.tables["docs"]}
        bodies = {body for _, body in self.tables["docs"] if body != "draft"}
        notes = {note for (note,) in self.tables["notes"]}
        return {text for text in titles | bodies | notes if text is not None}

    def run(
        self, model: str, invocation_id: str, setting: Setting = "plain", most: int | None = None
    ) -> set[str]:
        """Bring the store up to date; return the texts that the model must embed.

        `most` is the number of portions that are committed before dbt is killed.
        """
        store = {} if setting == "rebuild" else dict(self.store or {})
        version = self.versions[model]
        keys = {(text_hash(text), version): text for text in self.texts()}
        new = {key: text for key, text in keys.items() if key not in store}
        if setting == "shared":
            found = {key: self.shared[key] for key in new.keys() & self.shared.keys()}
            store |= {key: row for key, row in found.items() if self.status(row) != "error"}
        todo = sorted(new.keys() - store.keys())
        if setting in ("bounded", "shared"):
            todo = todo[:MOST_NEW]
        if most is not None:
            todo = todo[: most * MOST_NEW]
        store |= {key: Embedded(new[key], model, invocation_id) for key in todo}
        self.store = store
        return {new[key] for key in todo}

    def prune(self) -> None:
        """Remove the texts that no source has any more, and those that failed."""
        hashes = {text_hash(text) for text in self.texts()}
        self.store = {
            key: row
            for key, row in (self.store or {}).items()
            if key[0] in hashes and self.status(row) != "error"
        }

    def status(self, row: Embedded) -> str:
        return str(self.outcome(row.model, row.text).statuses[0])

    def check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Compare with the real store's rows."""
        found = {(row["text_hash"], row["model_version"]): row for row in rows}
        assert len(found) == len(rows), "a text is there twice"
        assert found.keys() == (self.store or {}).keys()
        for key, expected in (self.store or {}).items():
            row = found[key]
            assert row["text"] == expected.text
            assert (row["model"], row["invocation_id"]) == (expected.model, expected.invocation_id)
            assert row["embedded_at"] is not None
            outcome = self.outcome(expected.model, expected.text)
            assert row["status"] == outcome.statuses[0]
            counted = outcome.counted[0]
            assert row["token_count"] == (outcome.token_counts[0] if counted else None)
            assert row["is_truncated"] == (outcome.is_truncated[0] if counted else None)
            if outcome.valid[0]:
                np.testing.assert_allclose(
                    row["embedding"], outcome.embeddings[0], rtol=0, atol=SAME
                )
            else:
                assert row["embedding"] is None


@dataclass(frozen=True)
class Sent:
    """The statements that dbt sent.

    Attributes:
        statements: by model, setting, and whether the store existed.
        portions: those repeated for each portion, by model and whether the store existed.
        prune: those of the operation, for texts that no source has any more and for failed ones.
    """

    statements: Mapping[tuple[str, Setting, bool], list[str]]
    portions: Mapping[tuple[str, bool], str]
    prune: str


class KilledError(Exception):
    """The dbt process was killed."""


class Warehouse:
    """A DuckDB with the sources, the store and the functions, which runs dbt's statements."""

    def __init__(
        self,
        sent: Sent,
        artifacts: Sequence[Artifact],
        reached: Reached,
    ) -> None:
        self.statements, self.portions, self.prune = sent.statements, sent.portions, sent.prune
        self.reached = reached
        self.conn = duckdb.connect()
        self.conn.execute("attach ':memory:' as a_project; use a_project")
        for artifact in artifacts:
            plugin = Plugin("tf_embeddings_duckdb", {"stage": str(artifact.stage)})
            plugin.configure_connection(self.conn)
        self._create_sources()
        self.run("strings", "a first run, for the columns")
        self.conn.execute("create table shared as from store limit 0")

    def _create_sources(self) -> None:
        for table, columns in TABLES.items():
            self.conn.execute(
                f"create or replace table {table} ({', '.join(f'{c} varchar' for c in columns)})"
            )

    def reset(self) -> None:
        """Empty the sources, and drop the store."""
        self._create_sources()
        self.drop_store()
        self.conn.execute("delete from shared")
        self.reached.take()

    def drop_store(self) -> None:
        self.conn.execute("drop table if exists store")

    def has_store(self) -> bool:
        return bool(self.conn.execute("from duckdb_tables() where table_name = 'store'").fetchall())

    def steps(self, model: str, setting: Setting) -> list[str]:
        """Return dbt's statements."""
        return self.statements[model, setting, self.has_store()]

    def run(
        self,
        model: str,
        invocation_id: str,
        setting: Setting = "plain",
        killed_before: int | None = None,
        most: int = 100,
    ) -> None:
        """Run dbt's statements in one transaction, with at most so many portions.

        Raises:
            KilledError: before the step that was asked for; the last one is the commit.
        """
        steps = self.steps(model, setting)
        portion = self.portions[model, self.has_store()] if setting == "portions" else None
        self.conn.begin()
        try:
            for place, step in enumerate([*steps, "commit"]):
                if place == killed_before:
                    raise KilledError
                self.conn.execute(step.replace(INVOCATION, invocation_id))
        except BaseException:
            self.conn.rollback()
            raise
        finally:
            for (left,) in self.conn.execute(
                "select table_name from duckdb_tables() where table_name like 'store\\_\\_%' "
                "escape '\\'"
            ).fetchall():
                self.conn.execute(f'drop table "{left}"')
        while portion and most > 1:
            added = self.conn.execute(portion.replace(INVOCATION, invocation_id)).fetchall()
            most = most - 1 if added != [(0,)] else 0

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the store."""
        if not self.has_store():
            return []
        cursor = self.conn.execute("from store")
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class StoreMachine(RuleBasedStateMachine):
    """Random changes of the sources, runs and kills, in any order."""

    def __init__(self, warehouse: Warehouse, expected: Expected) -> None:
        super().__init__()
        self.warehouse = warehouse
        self.expected = expected
        self.runs = 0

    @initialize(texts=st.lists(TEXT, min_size=3, max_size=6))
    def start(self, texts: list[str | None]) -> None:
        self.warehouse.reset()
        self.insert("notes", [(text,) for text in texts])

    def insert(self, table: str, rows: list[Row]) -> None:
        for row in rows:
            places = ", ".join("?" * len(row))
            self.warehouse.conn.execute(f"insert into {table} values ({places})", row)
        self.expected.tables[table] += rows

    @rule(docs=st.lists(st.tuples(TEXT, TEXT), max_size=2), notes=st.lists(st.tuples(TEXT)))
    def insert_rows(self, docs: list[Row], notes: list[Row]) -> None:
        self.insert("docs", docs)
        self.insert("notes", notes)

    @rule(what=st.sampled_from(["duplicate", "update", "delete"]), old=TEXT, new=TEXT)
    def change_rows(self, what: str, old: str | None, new: str | None) -> None:
        execute, tables = self.warehouse.conn.execute, self.expected.tables
        if what == "duplicate":
            execute("insert into docs from docs")
            tables["docs"] *= 2
        elif what == "update":
            execute("update docs set title = ? where title is not distinct from ?", [new, old])
            tables["docs"] = [
                (new if title == old else title, body) for title, body in tables["docs"]
            ]
        else:
            execute("delete from notes where note is not distinct from ?", [old])
            tables["notes"] = [row for row in tables["notes"] if row != (old,)]

    @rule(model=MODEL, setting=SETTING)
    def run_dbt(self, model: str, setting: Setting) -> None:
        invocation_id = self.invocation_id()
        self.warehouse.run(model, invocation_id, setting)
        needed = self.expected.run(model, invocation_id, setting)
        assert self.warehouse.reached.take() == dict.fromkeys(needed, 1)
        self.check()

    @rule(model=MODEL, setting=SETTING, step=st.integers(0, 5))
    def kill_dbt(self, model: str, setting: Setting, step: int) -> None:
        """Kill a run before a step; the rows that it wrote are lost."""
        steps = len(self.warehouse.steps(model, setting))
        with pytest.raises(KilledError):
            self.warehouse.run(model, "killed", setting, killed_before=min(step, steps))
        self.warehouse.reached.take()
        self.check()

    @rule(model=MODEL, most=st.integers(1, 4))
    def kill_dbt_between_portions(self, model: str, most: int) -> None:
        """Kill a run after so many portions; they stay."""
        invocation_id = self.invocation_id()
        self.warehouse.run(model, invocation_id, "portions", most=most)
        needed = self.expected.run(model, invocation_id, "portions", most)
        assert self.warehouse.reached.take() == dict.fromkeys(needed, 1)
        self.check()

    @rule(model=MODEL, setting=SETTING)
    def fail_in_the_function(self, model: str, setting: Setting) -> None:
        """Make the model's function fail if it is called at all."""
        expected, invocation_id = copy.copy(self.expected), self.invocation_id()
        needed = expected.run(model, invocation_id, setting)
        self.warehouse.reached.fails = True
        try:
            self.warehouse.run(model, invocation_id, setting)
        except duckdb.Error:
            assert needed
        else:
            assert not needed
            self.expected = expected
        self.warehouse.reached.fails = False
        self.warehouse.reached.take()
        self.check()

    @precondition(lambda self: self.expected.store is not None and self.expected.texts())
    @rule()
    def prune(self) -> None:
        self.warehouse.conn.execute(self.warehouse.prune)
        self.expected.prune()
        self.check()

    @precondition(lambda self: self.expected.store is not None)
    @rule(published=st.booleans())
    def begin_a_schema(self, published: bool) -> None:
        """Begin without a store, as a developer; the old one may become the shared store."""
        if published and self.expected.store is not None:
            self.warehouse.conn.execute("create or replace table shared as from store")
            self.expected.shared = self.expected.store
        self.warehouse.drop_store()
        self.expected.store = None

    def invocation_id(self) -> str:
        """Return a name for the next run."""
        self.runs += 1
        return f"run {self.runs}"

    def check(self) -> None:
        self.expected.check(self.warehouse.rows())


@pytest.fixture(scope="module")
def artifacts(
    strings: Artifact,
    litert_tokens_model: tuple[Path, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Artifact]:
    """One model of each engine, with vectors of one length: one of strings, one of tokens."""
    tokens = shortened(litert_tokens_model, strings.dimensions)
    stage = tmp_path_factory.mktemp("tokens_stage")
    return [strings, write_artifact(*tokens, stage, model="tokens")]


@pytest.fixture(scope="module")
def outcome(artifacts: list[Artifact]) -> Callable[[str, str], Outcomes]:
    """The runtime's outcome for one text by itself."""
    embedders = {artifact.model: load_artifact(artifact) for artifact in artifacts}
    return functools.cache(lambda model, text: embedders[model].embed([text]))


@pytest.fixture(scope="module")
def sent(artifacts: list[Artifact], tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """The statements that dbt sends for a store."""
    models = [artifact.model for artifact in artifacts]
    files = {
        f"models/{age}_{model}.sql": STORE.format(model=model)
        for age in ("old", "new")
        for model in models
    }
    project = make_project(
        tmp_path_factory.mktemp("statements") / "project",
        artifacts=artifacts,
        files={"models/_sources.yml": SOURCES, **files},
    )
    for table, columns in TABLES.items():
        project.execute(f"create table {table} ({', '.join(f'{c} varchar' for c in columns)})")
    project.execute("insert into notes values ('fox'), ('number: seven')")
    statements: dict[tuple[str, Setting, bool], list[str]] = {}

    def run(setting: Setting, states: Mapping[str, bool]) -> None:
        done = project.dbt(
            "run",
            *("--vars", json.dumps(VARIABLES[setting])),
            *(["--full-refresh"] if setting == "rebuild" else []),
            *("--select", *(f"{age}_*" for age in states)),
        )
        assert done.success, done.errors
        for age, exists in states.items():
            for model in models:
                statements[model, setting, exists] = changes(done, f"{age}_{model}")

    run("plain", {"old": False})
    project.execute("create table shared as from old_strings")
    run("plain", {"old": True})
    for setting in ("bounded", "shared", "rebuild"):
        run(setting, {"new": False, "old": True})
        project.execute("drop table new_strings; drop table new_tokens")
    portions: dict[tuple[str, bool], str] = {}
    project.execute("insert into notes values ('a'), ('b'), ('c'), ('d')")
    run("portions", {"new": False, "old": True})
    for (model, setting, exists), sent in statements.items():
        if setting == "portions":
            *steps, portions[model, exists] = dict.fromkeys(sent)
            statements[model, setting, exists] = steps
    done = project.dbt(
        *("run-operation", "tf_embeddings.prune"),
        *("--args", "{store: old_strings, what: [texts, failed], drop: true, allow_empty: true}"),
    )
    assert done.success, done.errors
    [prune] = changes(done, "old_strings")
    return Sent(statements, portions, prune)


def changes(done: Run, name: str) -> list[str]:
    """Return dbt's statements that change this store, as if it were named `store`."""
    sent = [
        statement
        for statement in done.sent(f'"{name}')
        if statement.split()[0] in ("create", "insert", "merge", "delete", "alter")
    ]
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return [re.sub(uuid, INVOCATION, statement.replace(name, "store")) for statement in sent]


@pytest.fixture(scope="module")
def warehouse(sent: Sent, artifacts: list[Artifact]) -> Iterator[Warehouse]:
    with counted() as reached:
        warehouse = Warehouse(sent, artifacts, reached)
        yield warehouse
        warehouse.conn.close()


@pytest.mark.parametrize("histories", [20, pytest.param(200, marks=pytest.mark.exhaustive)])
def test_whatever_happens_the_rows_are_right_and_no_text_is_embedded_twice(
    warehouse: Warehouse,
    artifacts: list[Artifact],
    outcome: Callable[[str, str], Outcomes],
    histories: int,
) -> None:
    versions = {artifact.model: artifact.version for artifact in artifacts}

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(warehouse, Expected(outcome, versions))

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=histories, stateful_step_count=15, deadline=None)
    )


@pytest.mark.parametrize(
    ("setting", "exists", "scanned"),
    [
        ("plain", False, ["docs", "notes"]),
        ("plain", True, ["docs", "notes", "store"]),
        ("bounded", True, ["docs", "notes", "store"]),
        # Once for the hashes of the texts still to embed, and once for the rows.
        ("shared", True, ["docs", "notes", "shared", "shared", "store"]),
    ],
)
def test_each_relation_is_scanned_once_joined_by_hash_and_the_model_called_last(
    warehouse: Warehouse, setting: Setting, exists: bool, scanned: list[str]
) -> None:
    warehouse.reset()
    for table in TABLES:
        columns = ", ".join(["'text ' || i"] * len(TABLES[table]))
        warehouse.conn.execute(f"insert into {table} select {columns} from range(3000) as t(i)")
    if exists:
        warehouse.run("strings", "before")
        warehouse.conn.execute("insert into shared from store")
    [create, *_] = warehouse.steps("strings", setting)
    [(_, plan)] = warehouse.conn.execute(f"explain (format json) {create}").fetchall()
    operators = list(flat(json.loads(plan)))

    tables = [operator["extra_info"].get("Table") for operator in operators]
    assert sorted(table.split(".")[-1] for table in tables if table) == scanned
    names = [operator["name"] for operator in operators]
    assert not [name for name in names if "PRODUCT" in name or "LOOP" in name]
    assert {name for name in names if "JOIN" in name} <= {"HASH_JOIN"}
    projected = [operator["extra_info"].get("Projections") or [] for operator in operators]
    calls = [place for place, columns in enumerate(projected) if "outcome" in columns]
    work = [place for place, name in enumerate(names) if "JOIN" in name or "GROUP" in name]
    assert calls
    assert setting == "shared" or max(calls) < min(work)


def flat(plan: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the operators of a plan, each before its inputs."""
    for operator in plan:
        children = operator.pop("children")
        yield operator
        yield from flat(children)
