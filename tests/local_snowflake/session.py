"""A session: fakesnow's connection and cursor, with our statements in front.

A statement goes through `HANDLERS` first. One of them may answer it, with rows; what none answers
is fakesnow's, whose tree of the statement goes through `TRANSFORMS` on its way to DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlglot
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import OperationalError, ProgrammingError
from sqlglot import Expr, exp

from local_snowflake import (
    duck,
    execution,
    functions,
    namespaces,
    queries,
    roles,
    rows,
    stages,
    vector,
)
from local_snowflake.account import Account
from local_snowflake.errors import internal_error
from local_snowflake.packages import list_packages
from local_snowflake.rows import Rows


class Cursor(FakeSnowflakeCursor):
    """A cursor that answers what fakesnow does not."""

    _conn: Session
    _described: list[Any]

    def execute(
        self,
        command: str,
        params: Sequence[Any] | dict[Any, Any] | None = None,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> FakeSnowflakeCursor:
        """Run a statement: one at a time in the whole account."""
        try:
            with (
                self._conn.account.lock,
                queries.in_turn(self._conn, command),
                functions.errors(self._conn),
            ):
                with execution.running(self._conn):
                    self._answer(command, params, *args, **kwargs)
                # To describe a query DuckDB plans it, and calls functions whose arguments are
                # constants: in no other's turn, and where none has workers.
                self._described = super()._describe_last_sql()
                return self
        except (ProgrammingError, OperationalError):
            raise
        except Exception as error:
            raise internal_error(error) from error

    def _answer(self, command: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        for handle in HANDLERS:
            answer = handle(self._conn, command)
            if answer is not None:
                self._execute(sqlglot.parse_one(answer.sql(), read="duckdb"))
                return
        super().execute(command, *args, **kwargs)

    def _describe_last_sql(self) -> list[Any]:
        return self._described

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

    def run(self, statement: Expr, params: Any = None) -> None:  # noqa: ANN401
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
    # Names of files of a PUT of several, for whose addresses the connector asks one by one.
    expected_uploads: set[str]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask DuckDB."""
        return self._duck_conn.execute(sql).fetchall()

    def run(self, sql: str) -> None:
        """Run statements of DuckDB."""
        self._duck_conn.execute(sql)

    def log_in(self, database: str | None, schema: str | None) -> None:
        """Use what a login names, as far as it exists and the role may see it."""
        with self.account.lock:
            namespaces.log_in(self, database, schema)

    def leave(self, database: str) -> None:
        """Let no session use a database that goes away."""
        for session in list(self.account.sessions):
            if session.database == database:
                namespaces.use(session, None, None)

    def cursor(self, cursor_class: type[SnowflakeCursor] = SnowflakeCursor) -> Cursor:
        """Return a cursor."""
        connection: Any = duck.Connection(self._duck_conn)
        return Cursor(conn=self, duck_conn=connection)


class Server(FakeSnow):
    """One account in one DuckDB."""

    def __init__(self) -> None:
        duck.install()
        vector.install()
        rows.install()
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
        session.expected_uploads = set()
        self.account.sessions.add(session)
        session.temporary = set()
        queries.create_macros(session)
        session.log_in(database, schema)
        return session


Handler = Callable[[Session, str], Rows | None]
Transform = Callable[[Session, Expr], Expr]

HANDLERS: list[Handler] = [
    namespaces.handle,
    roles.handle,
    execution.handle,
    stages.handle,
    functions.handle,
]
TRANSFORMS: list[Transform] = [
    functions.rewrite_calls,
    list_packages,
    roles.session_functions,
    queries.temporary_relations,
    queries.check_values,
    queries.check_clustering,
    queries.outer_joins,
    vector.vectors,
    queries.semistructured,
]
