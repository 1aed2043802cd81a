"""The script for the open points is SQL that runs: on the local Snowflake, with its answers."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.connector.util_text import split_statements
from snowflake_projects import MODULE, LocalSnowflake, serve

pytestmark = pytest.mark.exhaustive

SCRIPT = (MODULE / "open_points.sql").read_text(encoding="utf-8")
STATEMENTS = [
    statement
    for statement, _ in split_statements(io.StringIO(SCRIPT), remove_comments=True)
    if statement.strip()
]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalSnowflake]:
    with serve() as server:
        server.execute("create database analytics")
        server.execute("create schema analytics.tf_embeddings")
        server.execute("create stage analytics.tf_embeddings.models")
        yield server


def test_every_statement_runs_but_those_that_ask_for_an_error(server: LocalSnowflake) -> None:
    refused = []
    answers = []
    with server.connect(database="analytics") as connection:
        for statement in STATEMENTS:
            try:
                answers.append(connection.cursor().execute(statement).fetchall())  # pyright: ignore
            except ProgrammingError as error:
                refused.append(str(error))

    assert len(STATEMENTS) == 22
    missing, try_cast = refused
    assert "Remote file '@models/no/such/file.zip' was not found" in missing
    assert "Function TRY_CAST cannot be used with arguments of types NULL and VECTOR" in try_cast
    assert [("NAType, dtype string",), ("str, dtype string",)] in answers
    assert [(pytest.approx(1),)] in answers
    assert [(True,)] in answers
    assert [(3, 3000)] in answers
    assert [("ai_edge_litert.interpreter, flatbuffers, google.protobuf, numpy",)] in answers
