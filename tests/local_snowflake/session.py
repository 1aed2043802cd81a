"""A session: fakesnow's connection and cursor, with our statements in front.

A statement goes through `HANDLERS` first; one of them may answer it with rows. Otherwise fakesnow
handles it, and its tree of the statement goes through `TRANSFORMS` on the way to DuckDB.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlglot
from duckdb import DuckDBPyConnection
from fakesnow import info_schema
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import GLOBAL_DATABASE_NAME, FakeSnow
from fakesnow.transforms import show
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import OperationalError, ProgrammingError
from sqlglot import Expr, exp

from local_snowflake import (
    copy_files,
    duck,
    execution,
    functions,
    namespaces,
    parameters,
    queries,
    roles,
    rows,
    stages,
    statements,
    transactions,
    vector,
)
from local_snowflake.account import Account
from local_snowflake.errors import internal_error
from local_snowflake.keep import Keep
from local_snowflake.packages import list_packages
from local_snowflake.parameters import Parameters
from local_snowflake.resolving import resolve_packages
from local_snowflake.rows import Rows
from local_snowflake.statements import first_words, literal
from local_snowflake.transactions import Statement


class Cursor(FakeSnowflakeCursor):
    """A cursor that handles what fakesnow does not."""

    _conn: Session
    _described: list[Any]

    def execute(
        self,
        command: str,
        params: Sequence[Any] | dict[Any, Any] | None = None,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> FakeSnowflakeCursor:
        """Run a statement; the whole account runs one at a time."""
        session = self._conn
        try:
            command = session.parameters.folded(command)
            with session.account.transactions.statement(session) as statement:
                if answer := transactions.control(session, command):
                    self._answer_aside(answer)
                    return self
                with (
                    transactions.in_turn(session, command, statement),
                    functions.errors(session),
                ):
                    with execution.running(session):
                        self._answer(command, params, *args, **kwargs)
                    # To describe a query DuckDB plans it, and calls functions whose arguments are
                    # constants: in no other's turn, and where none has workers.
                    self._described = super()._describe_last_sql()
                    if first_words(command, 1) not in READS:
                        session.account.save()
                self._name_result(statement.query_id)
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

    def _answer_aside(self, answer: Rows) -> None:
        """Answer on a separate connection, because the session's may be busy."""
        self._duck_conn = duck.Connection(self._conn._duck_conn.cursor())
        sql = answer.sql()
        self._execute(sqlglot.parse_one(sql, read="duckdb"))
        self._described = self._duck_conn.execute(f"describe {sql}").fetchall()

    def _name_result(self, query_id: str) -> None:
        """Give the result the id that the client already knows."""
        cache = self._conn.results_cache
        if self._sfqid in cache:
            cache[query_id] = cache.pop(self._sfqid)
        self._sfqid = query_id

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
        """Run a DuckDB statement."""
        with queries.checked(self._conn, statement), self._conn.at(queries.place_of(statement)):
            super()._execute(statement, params)


class Session(FakeSnowflakeConnection):
    """A connection to the account."""

    account: Account
    database: str | None
    _schema: str | None
    temporary: set[str]
    user: str = "TESTER"
    role: str = "ACCOUNTADMIN"
    # ALL, or their names.
    secondary_roles: str | tuple[str, ...] = ()
    warehouse: str | None = None
    # Names of the files of a PUT; the connector asks for each address separately.
    expected_uploads: set[str]
    number: int
    parameters: Parameters
    last_used: float
    is_aborted: bool = False

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask DuckDB."""
        return self._duck_conn.execute(sql).fetchall()

    def run(self, sql: str) -> None:
        """Run statements of DuckDB."""
        self._duck_conn.execute(sql)

    def log_in(self, database: str | None, schema: str | None) -> None:
        """Use the database and schema of a login, if they exist and the role may see them."""
        namespaces.log_in(self, database, schema)

    def interrupt(self, statement: Statement) -> None:
        """Stop a canceled statement."""
        if self.account.executing is statement and statement.error is not None:
            self._duck_conn.interrupt()
            if query := self.account.functions.query:
                query.cancel(statement.error)

    @contextmanager
    def at(self, place: tuple[str, str] | None) -> Iterator[None]:
        """Tell fakesnow the current database and schema, under which it records new objects."""
        before = self.database, self._schema
        if place is not None:
            self.database, self._schema = place
        try:
            yield
        finally:
            self.database, self._schema = before

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

    def __init__(self, keep: Keep | None = None) -> None:
        duck.install()
        vector.install()
        rows.install()
        super().__init__()
        self.account = Account(keep=keep)
        self._numbers = itertools.count(int(time.time() * 1000))
        self._left: list[DuckDBPyConnection] = []
        if keep is not None:
            self._open(keep)

    def _open(self, keep: Keep) -> None:
        """Attach the databases that were kept, and let DuckDB call the functions."""
        self.duck_conn.execute(f"detach {GLOBAL_DATABASE_NAME}")
        for name in {GLOBAL_DATABASE_NAME, *keep.names()}:
            place = literal(str(keep.database(name)))
            self.duck_conn.execute(f"attach {place} as {statements.duck(name)}")
        self.duck_conn.execute(info_schema.fs_global_creation_sql())
        self.duck_conn.execute(show.fs_global_creation_sql())
        keep.load(self.account)
        session = self.connect()
        for function in list(self.account.functions.by_name.values()):
            self.account.functions.register(session, function)

    def connect(
        self,
        database: str | None = None,
        schema: str | None = None,
        nop_regexes: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Session:
        """Open a session."""
        left = self._left.pop() if self._left else None
        session = Session(left or self.duck_conn.cursor(), self.results_cache, **kwargs)
        session.account = self.account
        session.expected_uploads = set()
        session.number = next(self._numbers)
        session.parameters = Parameters()
        session.last_used = time.monotonic()
        self.account.sessions.add(session)
        session.temporary = set()
        if left is None:
            queries.create_macros(session)
        session.log_in(database, schema)
        return session

    def end(self, session: Session) -> None:
        """End a session, whose connection the next one takes over: its macros take 40 ms to make.

        Unless it has more that is its own: temporary relations, or a statement that still runs.
        """
        transactions = self.account.transactions
        transactions.close(session)
        self.account.functions.end(session)
        with transactions.ended:
            is_idle = not transactions.of_session(session) and not transactions.of(session)
        if is_idle and not session.temporary:
            namespaces.use(session, None, None)
            self._left.append(session._duck_conn)


# Statements that change nothing beside a database.
READS = [["select"], ["with"], ["insert"], ["update"], ["delete"], ["merge"], ["show"]]
Handler = Callable[[Session, str], Rows | None]
Transform = Callable[[Session, Expr], Expr]

HANDLERS: list[Handler] = [
    transactions.handle,
    parameters.handle,
    namespaces.handle,
    roles.handle,
    execution.handle,
    stages.handle,
    copy_files.handle,
    functions.handle,
    queries.comment_on_columns,
]
TRANSFORMS: list[Transform] = [
    functions.rewrite_calls,
    list_packages,
    resolve_packages,
    roles.session_functions,
    queries.column_comments,
    queries.temporary_relations,
    queries.check_values,
    queries.check_clustering,
    queries.outer_joins,
    vector.vectors,
    queries.semistructured,
]
