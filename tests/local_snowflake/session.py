"""A session: fakesnow's connection and cursor, with our statements in front.

A statement goes through `HANDLERS` first. One of them may answer it, with rows; what none answers
is fakesnow's, whose tree of the statement goes through `TRANSFORMS` on its way to DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from snowflake.connector.cursor import SnowflakeCursor
from sqlglot import exp

from local_snowflake import namespaces, queries, roles, stages, vector
from local_snowflake.account import Account


@dataclass(frozen=True)
class Rows:
    """The answer to a statement: names and DuckDB types of its columns, and its rows."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]

    def sql(self) -> str:
        """Return a query of DuckDB that gives the rows."""
        casts = [
            f'cast(column{place} as {kind}) as "{name}"'
            for place, (name, kind) in enumerate(self.columns)
        ]
        rows = self.rows or [[None] * len(self.columns)]
        values = ", ".join(
            "(" + ", ".join(exp.convert(value).sql(dialect="duckdb") for value in row) + ")"
            for row in rows
        )
        names = ", ".join(f"column{place}" for place in range(len(self.columns)))
        where = "" if self.rows else " where false"
        return f"select {', '.join(casts)} from (values {values}) as t({names}){where}"


class Cursor(FakeSnowflakeCursor):
    """A cursor that answers what fakesnow does not."""

    _conn: Session

    def execute(
        self,
        command: str,
        params: Sequence[Any] | dict[Any, Any] | None = None,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> FakeSnowflakeCursor:
        """Run a statement: one at a time in the whole account."""
        with self._conn.account.lock, queries.in_turn(self._conn, command):
            for handle in HANDLERS:
                answer = handle(self._conn, command)
                if answer is not None:
                    self._execute(sqlglot.parse_one(answer.sql(), read="duckdb"))
                    return self
            return super().execute(command, params, *args, **kwargs)

    def _transform(self, expression: Any, params: Any) -> Any:  # noqa: ANN401
        for transform in TRANSFORMS:
            expression = transform(self._conn, expression)
        return super()._transform(expression, params)

    def _transform_explode(self, expression: Any) -> list[Any]:  # noqa: ANN401
        is_merge = isinstance(expression, exp.Merge)
        return [expression] if is_merge else super()._transform_explode(expression)

    def _execute(self, transformed: Any, params: Any = None) -> None:  # noqa: ANN401
        if isinstance(transformed, exp.Merge):
            queries.merge(self, transformed)
        else:
            self.run(transformed, params)

    def run(self, statement: exp.Expression, params: Any = None) -> None:  # noqa: ANN401
        """Run a statement of DuckDB's."""
        with queries.checked(self._conn, statement):
            super()._execute(statement, params)


class Session(FakeSnowflakeConnection):
    """A connection to the account."""

    account: Account
    temporary: set[str]
    user: str = "TESTER"
    role: str = "ACCOUNTADMIN"
    warehouse: str | None = None

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask DuckDB."""
        return self._duck_conn.execute(sql).fetchall()

    def run(self, sql: str) -> None:
        """Run statements of DuckDB."""
        self._duck_conn.execute(sql)

    def leave(self, database: str) -> None:
        """Let no session use a database that goes away."""
        for session in list(self.account.sessions):
            if session.database == database:
                namespaces.use(session, None, None)

    def cursor(self, cursor_class: type[SnowflakeCursor] = SnowflakeCursor) -> Cursor:
        """Return a cursor."""
        return Cursor(conn=self, duck_conn=self._duck_conn)


class Server(FakeSnow):
    """One account in one DuckDB."""

    def __init__(self) -> None:
        vector.install()
        super().__init__()
        self.account = Account()

    def connect(
        self,
        database: str | None = None,
        schema: str | None = None,
        nop_regexes: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Session:
        """Open a session."""
        session = Session(self.duck_conn.cursor(), self.results_cache, **kwargs)
        session.account = self.account
        self.account.sessions.add(session)
        session.temporary = set()
        queries.create_macros(session)
        with self.account.lock:
            namespaces.log_in(session, database, schema)
        return session


Handler = Callable[[Session, str], Rows | None]
Transform = Callable[[Session, exp.Expression], exp.Expression]

HANDLERS: list[Handler] = [namespaces.handle, roles.handle, stages.handle]
TRANSFORMS: list[Transform] = [
    roles.session_functions,
    queries.temporary_relations,
    queries.check_values,
    queries.check_clustering,
    vector.vectors,
    queries.semistructured,
]
