r"""Temporary dbt projects on the local Snowflake; `duckdb_projects` has those on DuckDB.

project = make_snowflake_project(tmp_path, local_snowflake, artifacts=[tiny])
project.write("models/a.sql", "select {{ tf_embeddings.embed(\"'hello'\") }} as embedding")
run = project.dbt("build")
assert run.success
assert project.rows("select count(*) from dev.a") == [(1,)]
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import snowflake.connector
from duckdb_projects import NAME, Pin, Project, make_project

if TYPE_CHECKING:
    from makers import Artifact
    from snowflake.connector import SnowflakeConnection

MODULE = Path(__file__).with_name("local_snowflake")
STAGE = "tf_embeddings.models"


@dataclass(frozen=True)
class LocalSnowflake:
    """A running server: one account, which the tests of a session share."""

    port: int

    def profile(self, **keys: object) -> dict[str, Any]:
        """Return a target of a dbt profile; `keys` change it."""
        return {
            "type": "snowflake",
            "account": "local",
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            "user": "tester",
            "password": "not-a-secret",
            "role": "accountadmin",
            "warehouse": "compute_wh",
            "schema": "dev",
            "threads": 2,
            **keys,
        }

    def connect(self, **keys: Any) -> SnowflakeConnection:  # noqa: ANN401 - the connector's own
        """Open a session, as accountadmin unless `keys` say otherwise."""
        return snowflake.connector.connect(
            account="local",
            host="127.0.0.1",
            port=self.port,
            protocol="http",
            **{"user": "tester", "password": "not-a-secret", "role": "accountadmin", **keys},
        )

    def execute(self, sql: str, **keys: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """Run one statement in a session of its own, and return its rows."""
        with self.connect(**keys) as connection:
            return [tuple(row) for row in connection.cursor().execute(sql).fetchall()]  # pyright: ignore

    def counters(self) -> dict[str, Any]:
        """Return what the server has counted so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/local/counters") as answer:
            return json.load(answer)

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Switch a fault on, and all of them off afterwards."""
        url = f"http://127.0.0.1:{self.port}/local/faults"
        asked = json.dumps({"name": name, "times": None}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, asked, method="POST")):
            pass
        try:
            yield
        finally:
            with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")):
                pass

    def new_database(self) -> str:
        """Create a database that no other test knows, and return its name."""
        name = f"test_{secrets.token_hex(4)}"
        self.execute(f"create database {name}")
        return name


@dataclass(frozen=True)
class SnowflakeProject(Project):
    """A dbt project in a folder, whose target is a database of its own."""

    server: LocalSnowflake
    name: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the project's database."""
        return self.server.execute(sql, database=self.name)

    def execute(self, sql: str) -> None:
        """Change the project's database."""
        self.server.execute(sql, database=self.name)

    def embedded(self) -> int:
        """Return how many texts have reached the functions of the project's database, ever."""
        rows = self.server.counters()["rows"].items()
        return sum(count for name, count in rows if name.startswith(f"{self.name.upper()}."))

    def put(self, artifact: Artifact, *, stage: str = STAGE) -> Pin:
        """Put an artifact on the project's stage as a user would by hand; return its pin."""
        schema = stage.rpartition(".")[0]
        self.execute(f"create schema if not exists {schema}")
        self.execute(f"create stage if not exists {stage} encryption = (type = 'SNOWFLAKE_SSE')")
        place = f"@{self.name}.{stage}/{artifact.model}/{artifact.version}/"
        self.execute(f"put 'file://{artifact.path}' '{place}' auto_compress = false")
        return artifact.pin()


def make_snowflake_project(
    folder: Path,
    server: LocalSnowflake,
    *,
    artifacts: Iterable[Artifact] = (),
    files: Mapping[str, str] | None = None,
    **profile: object,
) -> SnowflakeProject:
    """Make a project that installs the package, on a new database; see `make_project`.

    Args:
        folder: where to; it is made.
        server: the local Snowflake.
        artifacts: put on the stage, and pinned.
        files: the project's own files, path -> content.
        profile: what differs from the profile that tests use.
    """
    base = make_project(folder, files=files, plugin=False)
    project = SnowflakeProject(base.folder, server, server.new_database())
    target = server.profile(database=project.name, **profile)
    project.write_yaml("profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": target}}})
    pins = {artifact.model: project.put(artifact) for artifact in artifacts}
    if pins:
        project.pin(**pins)
    return project


@contextmanager
def serve(*, keep: Path | None = None, **environment: str) -> Iterator[LocalSnowflake]:
    """Start a server in a process of its own, with these variables, and stop it.

    `keep` is the folder of an account that a later server continues with.
    """
    command = [sys.executable, str(MODULE), "serve", "--port", "0"]
    if keep is not None:
        command += ["--keep", str(keep)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout is not None
            yield LocalSnowflake(int(process.stdout.readline().rpartition(" ")[2]))
        finally:
            process.terminate()
