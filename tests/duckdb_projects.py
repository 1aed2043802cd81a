r"""Temporary dbt projects that install the package, for tests: data in, one call, rows out.

    project = make_project(tmp_path, artifacts=[tiny])
    project.write("models/a.sql", "select {{ tf_embeddings.embed(\"'hello'\") }} as embedding")
    run = project.dbt("build")
    assert run.success
    assert project.rows("select len(embedding) from a") == [(8,)]

dbt runs in this process, through its public `dbtRunner`, which saves the seconds that its imports
take; the database is closed after each call, so that a test can read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import quick_dbt  # noqa: F401 - for its effect
import yaml
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

if TYPE_CHECKING:
    from dbt_common.events.base_types import EventMsg
    from makers import Artifact

PACKAGE = Path(__file__).parents[1]
NAME = "a_project"

Pin = dict[str, Any]


@dataclass
class Run:
    """What one call of dbt did.

    Attributes:
        success: dbt's own verdict, which its exit code follows.
        messages: what dbt printed, and what it would print with --debug.
        printed: what dbt printed.
        said: of that, what macros printed, line by line.
        errors: what it printed as an error; the text for a failed assertion.
        statements: the SQL that it sent, in order, without dbt's leading comment.
        statuses: unique id -> status, of the nodes that it ran.
        relations: unique id -> table or view, of the same: a test's is that of its failures.
    """

    success: bool = False
    messages: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    relations: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """What dbt printed, as one text whose white space is single spaces: it wraps errors."""
        return " ".join(" ".join(self.printed).split())

    def sent(self, text: str) -> list[str]:
        """Return the statements that hold this text."""
        return [statement for statement in self.statements if text in statement]

    def status(self, name: str) -> str:
        """Return the status of the one node whose unique id has this part between its dots."""
        found = [status for id_, status in self.statuses.items() if name in id_.split(".")]
        if len(found) != 1:
            raise KeyError(f"{name}: {sorted(self.statuses)}")
        return found[0]


@dataclass(frozen=True)
class Project:
    """A dbt project in a folder, with its profile and its database."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "a_project.duckdb"

    @property
    def stage(self) -> Path:
        return self.folder / "stage"

    def write(self, path: str, text: str) -> None:
        """Write a file of the project, making its folders."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def write_yaml(self, path: str, content: Mapping[str, Any]) -> None:
        """Write a YAML file of the project."""
        self.write(path, yaml.safe_dump(dict(content), sort_keys=False))

    def configure(self, **keys: object) -> None:
        """Set keys of dbt_project.yml, such as vars and flags."""
        file = self.folder / "dbt_project.yml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        self.write_yaml("dbt_project.yml", {**content, **keys})

    def vars(self) -> dict[str, Any]:
        """Return the vars of dbt_project.yml."""
        file = self.folder / "dbt_project.yml"
        return yaml.safe_load(file.read_text(encoding="utf-8")).get("vars", {})

    def pin(self, **pins: object) -> None:
        """Set var tf_embeddings_models, and no other."""
        self.configure(vars={"tf_embeddings_models": pins})

    def dbt(self, *arguments: str) -> Run:
        """Call dbt in this project."""
        run = Run()

        def note(event: EventMsg) -> None:
            info: Any = event.info  # protobuf's attributes are not typed
            data: Any = event.data
            run.messages.append(info.msg)
            if info.level != "debug":
                run.printed.append(info.msg)
            if info.level == "error":
                run.errors.append(info.msg)
            if info.name == "PrintEvent":
                run.said.extend(info.msg.splitlines())
            if info.name == "SQLQuery":
                run.statements.append(_without_comment(data.sql))

        folder = str(self.folder)
        places = ["--project-dir", folder, "--profiles-dir", folder]
        if "--write-json" not in arguments:
            places.append("--no-write-json")  # a third of a call; see `manifest`
        if arguments[0] != "deps":
            places += ["--target-path", f"{folder}/target"]
        try:
            result = dbtRunner(callbacks=[note]).invoke(
                [*arguments, *places, "--log-path", f"{folder}/logs", "--quiet", "--no-use-colors"]
            )
        finally:
            close_database()
        run.success = result.success
        if result.exception is not None:
            run.printed.append(str(result.exception))
            run.errors.append(str(result.exception))
        for one in getattr(result.result, "results", None) or []:
            node = getattr(one, "node", None)
            if node is not None:
                run.statuses[node.unique_id] = str(one.status)
                run.relations[node.unique_id] = getattr(node, "relation_name", None)
        return run

    def show(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query with macros; the names of their columns are in lower case."""
        run = self.dbt("show", "--output", "json", "--limit", "-1", "--inline", sql)
        if not run.success:
            raise RuntimeError(run.errors)
        [text] = [text for text in run.printed if '"show"' in text]
        rows = json.loads(text)["show"]
        return [{name.lower(): value for name, value in row.items()} for row in rows]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the project's database."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        """Change the project's database."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(sql)

    def insert(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """Insert rows into a table of the project's database; a vector may be a NumPy array."""
        values = [
            [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in row]
            for row in rows
        ]
        places = ", ".join("?" * len(values[0]))
        with duckdb.connect(str(self.database)) as connection:
            connection.executemany(f"insert into {table} values ({places})", values)

    def manifest(self) -> dict[str, Any]:
        """Return what dbt parses."""
        if not (run := self.dbt("parse", "--write-json")).success:
            raise RuntimeError(run.errors)
        return json.loads((self.folder / "target/manifest.json").read_text(encoding="utf-8"))


def make_project(
    folder: Path,
    *,
    artifacts: Iterable[Artifact] = (),
    files: Mapping[str, str] | None = None,
    plugin: bool = True,
    hook_stops_run: bool = True,
) -> Project:
    """Make a project that installs the package from this repository, and run `dbt deps` in it.

    Args:
        folder: where to; it is made.
        artifacts: staged in the project's own stage folder, and pinned.
        files: the project's own files, path -> content.
        plugin: whether the profile loads the DuckDB plugin, as the README says.
        hook_stops_run: whether the project sets dbt's flag skip_nodes_if_on_run_start_fails.
    """
    project = Project(folder)
    target: dict[str, Any] = {"type": "duckdb", "path": str(project.database), "threads": 2}
    if plugin:
        config = {"stage": str(project.stage)}
        target["module_paths"] = [str(PACKAGE / "udf_src")]
        target["plugins"] = [{"module": "tf_embeddings_duckdb", "config": config}]
    project.write_yaml("profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target}}})
    project.write_yaml("packages.yml", {"packages": [{"local": str(PACKAGE)}]})
    project.write_yaml(
        "dbt_project.yml",
        {
            "name": NAME,
            "version": "1.0.0",
            "config-version": 2,
            "profile": NAME,
            "models": {NAME: {"+materialized": "table"}},
            "flags": {
                "send_anonymous_usage_stats": False,
                "skip_nodes_if_on_run_start_fails": hook_stops_run,
            },
        },
    )
    pins = {artifact.model: stage(project, artifact) for artifact in artifacts}
    if pins:
        project.pin(**pins)
    for path, text in (files or {}).items():
        project.write(path, text)
    deps = project.dbt("deps")
    if not deps.success:
        raise RuntimeError(deps.errors)
    return project


def stage(project: Project, artifact: Artifact) -> Pin:
    """Link an artifact into the project's stage folder, and return its pin."""
    path = project.stage / artifact.model / artifact.version / artifact.path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.hardlink_to(artifact.path)
    return artifact.pin()


def close_database() -> None:
    """Close the database that dbt-duckdb keeps open in this process."""
    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()


def _without_comment(sql: str) -> str:
    return sql.partition("*/")[2].strip() if sql.lstrip().startswith("/*") else sql.strip()
