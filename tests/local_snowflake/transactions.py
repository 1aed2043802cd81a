"""Transactions, their locks on tables, and the running statements.

DuckDB refuses a change of rows that another transaction has changed; Snowflake lets it wait. So
statements wait here, before DuckDB sees them. DuckDB's own transaction begins with the first
change: what is read before that is what is committed, as on Snowflake.

https://docs.snowflake.com/en/sql-reference/transactions
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from snowflake.connector.errors import ProgrammingError

from local_snowflake.errors import compilation_error
from local_snowflake.grants import Name, insufficient
from local_snowflake.rows import Rows, status, texts
from local_snowflake.statements import Reader, first_words, qualified

if TYPE_CHECKING:
    from local_snowflake.session import Session

DDL = {"create", "alter", "drop", "undrop", "comment", "grant", "revoke"}
# https://docs.snowflake.com/en/sql-reference/transactions#terminology
DML = {"insert", "update", "delete", "merge", "truncate", "copy"}
# Most INSERT and COPY statements write only new partitions, and run beside all others.
SHARED = {"insert", "copy"}
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_CANCEL = 10

# The request id and the query id of the request that the server is answering.
request: ContextVar[tuple[str, str] | None] = ContextVar("request", default=None)


def seconds_idle() -> float:
    """Return how long a transaction that blocks others may be idle; tests change it.

    https://docs.snowflake.com/en/sql-reference/transactions#aborting-transactions
    """
    return float(os.environ.get("LOCAL_SNOWFLAKE_IDLE_SECONDS", "300"))


@dataclass(eq=False)
class Statement:
    """A statement that runs or waits.

    Attributes:
        error: the error to end with, once it is canceled.
        waits_for: the tables that others have locked.
    """

    session: Session
    query_id: str
    request_id: str | None
    error: ProgrammingError | None = None
    waits_for: tuple[Name, ...] = ()

    def check(self) -> None:
        """Raise the statement's error if it was canceled."""
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Lock:
    """A transaction's lock on a table: on its partitions, or only on the new rows."""

    query_id: str
    acquired_on: datetime
    is_exclusive: bool


@dataclass(eq=False)
class Transaction:
    """A transaction; an autocommitted statement has its own.

    Attributes:
        is_explicit: it ends by COMMIT or ROLLBACK.
        has_changed: DuckDB's transaction has begun.
    """

    session: Session
    number: int
    name: str
    is_explicit: bool
    started_on: datetime = field(default_factory=lambda: datetime.now(UTC))
    has_changed: bool = False
    locks: dict[Name, Lock] = field(default_factory=dict)


@dataclass
class Transactions:
    """The account's open transactions and running statements."""

    open: list[Transaction] = field(default_factory=list)
    running: list[Statement] = field(default_factory=list)
    ended: threading.Condition = field(default_factory=threading.Condition)
    _numbers: Iterator[int] = field(
        default_factory=lambda: itertools.count(int(time.time() * 1_000_000_000))
    )

    @contextmanager
    def statement(self, session: Session) -> Iterator[Statement]:
        """Record that a statement runs, until it ends."""
        request_id, query_id = request.get() or (None, str(uuid.uuid4()))
        statement = Statement(session, query_id, request_id)
        with self.ended:
            self.running.append(statement)
        try:
            yield statement
        except Exception:
            statement.check()
            raise
        finally:
            with self.ended:
                self.running.remove(statement)
                session.last_used = time.monotonic()

    def of(self, session: Session) -> Transaction | None:
        """Return a session's open transaction."""
        return next((one for one in self.open if one.session is session and one.is_explicit), None)

    def begin(self, session: Session, name: str | None = None, *, explicit: bool) -> Transaction:
        """Open a transaction."""
        name = name or str(uuid.uuid4())
        with self.ended:
            transaction = Transaction(session, next(self._numbers), name, explicit)
            self.open.append(transaction)
        return transaction

    def commit(self, transaction: Transaction) -> None:
        """Commit a transaction."""
        try:
            if transaction.has_changed:
                transaction.session._duck_conn.commit()
        finally:
            self.end(transaction)

    def rollback(self, transaction: Transaction) -> None:
        """Roll back a transaction."""
        try:
            if transaction.has_changed:
                transaction.session._duck_conn.rollback()
        finally:
            self.end(transaction)

    def end(self, transaction: Transaction) -> None:
        """Release a transaction's locks."""
        with self.ended:
            self.open.remove(transaction)
            self.ended.notify_all()

    def lock(
        self,
        transaction: Transaction,
        statement: Statement,
        tables: Sequence[Name],
        *,
        is_exclusive: bool,
        is_ddl: bool,
    ) -> None:
        """Lock what a statement changes, after waiting for other transactions' locks.

        https://docs.snowflake.com/en/sql-reference/parameters#lock-timeout
        """
        deadline = time.monotonic() + transaction.session.parameters.lock_timeout
        with self.ended:
            statement.waits_for = tuple(tables)
            try:
                while blockers := self._blockers(transaction, tables, is_exclusive, is_ddl):
                    statement.check()
                    self._end_idle(blockers)
                    if self._is_deadlock(transaction, blockers):
                        raise _not_locked("it is in a deadlock with another transaction", blockers)
                    if time.monotonic() >= deadline:
                        raise _not_locked("its LOCK_TIMEOUT has passed", blockers)
                    if blockers == self._blockers(transaction, tables, is_exclusive, is_ddl):
                        self.ended.wait(SECONDS_BETWEEN_LOOKS)
            finally:
                statement.waits_for = ()
            for table in tables:
                before = transaction.locks.get(table)
                if before is None or (is_exclusive and not before.is_exclusive):
                    lock = Lock(statement.query_id, datetime.now(UTC), is_exclusive)
                    transaction.locks[table] = lock

    def _blockers(
        self, transaction: Transaction, tables: Sequence[Name], is_exclusive: bool, is_ddl: bool
    ) -> list[tuple[Transaction, Name]]:
        """Return the blocking transactions, each with a table that it has locked.

        Where a schema or a database is changed, all its tables count. DDL, which Snowflake may let
        through, waits for INSERT too: DuckDB bears nothing else.
        """
        return [
            (other, locked)
            for other in self.open
            if other.session is not transaction.session
            for locked, lock in other.locks.items()
            if is_ddl or (is_exclusive and lock.is_exclusive)
            if any(locked[: len(table)] == table for table in tables)
        ]

    def _is_deadlock(
        self, transaction: Transaction, blockers: list[tuple[Transaction, Name]]
    ) -> bool:
        """Whether the transactions that block this one also wait for it.

        https://docs.snowflake.com/en/sql-reference/transactions#deadlocks
        """
        seen: set[int] = set()
        waiting = [other for other, _ in blockers]
        while waiting:
            other = waiting.pop()
            if other is transaction:
                return True
            if other.number in seen:
                continue
            seen.add(other.number)
            wanted = [
                table
                for statement in self.running
                if statement.session is other.session
                for table in statement.waits_for
            ]
            waiting += [
                one
                for one in self.open
                if one.session is not other.session
                if any(locked[: len(table)] == table for locked in one.locks for table in wanted)
            ]
        return False

    def _end_idle(self, blockers: list[tuple[Transaction, Name]]) -> None:
        """Roll back transactions that block others and have been idle for five minutes.

        https://docs.snowflake.com/en/sql-reference/transactions#aborting-transactions
        """
        for other in {one for one, _ in blockers}:
            is_busy = any(one.session is other.session for one in self.running)
            idle = time.monotonic() - other.session.last_used
            if not is_busy and idle >= seconds_idle() and other in self.open:
                self.rollback(other)

    def cancel(self, statements: Sequence[Statement]) -> int:
        """Cancel statements; return how many there were."""
        canceled = [one for one in statements if one.error is None]
        for one in canceled:
            one.error = ProgrammingError(
                msg="SQL execution canceled", errno=604, sqlstate="57014", sfqid=one.query_id
            )
        deadline = time.monotonic() + SECONDS_TO_CANCEL
        while time.monotonic() < deadline:
            left = [one for one in canceled if one in self.running]
            if not left:
                break
            # DuckDB ignores an interruption between two of its statements.
            for one in left:
                one.session.interrupt(one)
            time.sleep(SECONDS_BETWEEN_LOOKS / 5)
        return len(canceled)

    def of_session(self, session: Session) -> list[Statement]:
        """Return a session's running statements, except the one that asks."""
        asking = request.get()
        with self.ended:
            return [
                one
                for one in self.running
                if one.session is session and (asking is None or one.query_id != asking[1])
            ]

    def close(self, session: Session) -> None:
        """Cancel a session's statements, and roll back its transaction.

        https://docs.snowflake.com/en/sql-reference/transactions#aborting-transactions
        """
        self.cancel(self.of_session(session))
        with self.ended:
            transaction = self.of(session)
            if transaction is not None and not self.of_session(session):
                self.rollback(transaction)


def _not_locked(why: str, blockers: list[tuple[Transaction, Name]]) -> ProgrammingError:
    """Return the error of a statement that could not get a lock; the text is ours."""
    other, table = blockers[0]
    lock = other.locks[table]
    return ProgrammingError(
        msg=f"Statement '{lock.query_id}' has locked table '{qualified(table)}' in transaction "
        f"{other.number} and this lock has not yet been released. Your statement was aborted: "
        f"{why}.",
        errno=625,
        sqlstate="57014",
    )


@contextmanager
def in_turn(session: Session, sql: str, statement: Statement) -> Iterator[None]:
    """Run a statement as soon as other sessions' locks allow it.

    DDL commits the open transaction before it runs. A statement that fails ends a transaction that
    has changed something, which undoes it: DuckDB cannot go on, Snowflake could.
    https://docs.snowflake.com/en/sql-reference/transactions#ddl
    """
    transactions = session.account.transactions
    words = first_words(sql, 2)
    # ALTER SESSION defines no object.
    word = words[0] if words and words != ["alter", "session"] else ""
    transaction = transactions.of(session)
    if word in DDL and transaction:
        with session.account.held(statement):
            transactions.commit(transaction)
        transaction = None
    own = None
    tables = _changed_tables(session, sql, word)
    if transaction is None and (tables or word in DML):
        is_explicit = word in DML and not session.parameters.autocommit
        own = transactions.begin(session, explicit=is_explicit)
        transaction = own
    try:
        if transaction and tables:
            transactions.lock(
                transaction,
                statement,
                tables,
                is_exclusive=word not in SHARED or words[1:] == ["overwrite"],
                is_ddl=word in DDL,
            )
        with session.account.held(statement):
            if transaction and transaction.is_explicit and word in DML:
                _change(transaction)
            try:
                yield
            except Exception:
                if transaction and transaction.has_changed and transaction in transactions.open:
                    transactions.rollback(transaction)
                raise
    finally:
        if own and not own.is_explicit:
            transactions.end(own)


def _change(transaction: Transaction) -> None:
    if not transaction.has_changed:
        transaction.session._duck_conn.begin()
        transaction.has_changed = True


def _changed_tables(session: Session, sql: str, word: str) -> list[Name]:
    """Return what a statement locks: a table, or a schema or database with all its tables."""
    if word not in DDL | DML:
        return []
    read = Reader(sql, most=40)
    read.next()
    name = None
    if word == "copy" and read.take("files"):
        return []
    if word in DML:
        read.take_any("overwrite", "from", "table")
        read.take_any("into", "table")
        read.take("if", "exists")
        name = _name(read)
    else:
        read.take("or", "replace")
        is_temporary = read.take_any("temporary", "temp", "volatile")
        read.take_any("transient", "local", "global")
        kind = read.take_any("table", "schema", "database")
        if kind and not is_temporary:
            read.take("if", "not", "exists")
            read.take("if", "exists")
            name = _name(read)
            if name and kind == "database":
                return [name[:1]]
            if name and kind == "schema":
                return [(*(session.database or "",)[: 2 - len(name)], *name)]
    if not name or len(name) > 3:
        return []
    missing = (session.database or "", session.schema or "")[: 3 - len(name)]
    whole = (*missing, *name)
    return [] if ".".join(whole) in session.temporary else [whole]


def _name(read: Reader) -> Name | None:
    token = read.peek()
    return read.name() if token and token.kind in ("word", "quoted") else None


# Statements.


def handle(session: Session, sql: str) -> Rows | None:
    """Handle BEGIN, COMMIT and ROLLBACK."""
    word = "".join(first_words(sql, 1))
    transactions = session.account.transactions
    transaction = transactions.of(session)
    read = Reader(sql, most=12)
    if word in ("begin", "start"):
        read.next()
        if not (read.take_any("work", "transaction") or word == "begin"):
            read.fail()
        name = read.name()[-1] if read.take("name") else None
        if not read.at_end():
            return None  # a block of Snowflake Scripting
        # https://docs.snowflake.com/en/sql-reference/transactions#explicit-transactions
        if transaction is None:
            transactions.begin(session, name, explicit=True)
        return status()
    if word not in ("commit", "rollback"):
        return None
    read.next()
    read.take("work")
    read.end()
    if transaction and word == "commit":
        transactions.commit(transaction)
    elif transaction:
        transactions.rollback(transaction)
    return status()


def control(session: Session, sql: str) -> Rows | None:
    """Handle statements that run at once, without waiting for others."""
    words = first_words(sql, 2)
    if words == ["show", "locks"]:
        return _show_locks(session, Reader(sql))
    if words == ["show", "transactions"]:
        return _show_transactions(session, Reader(sql))
    if words[:1] == ["select"] and words[1:] and words[1].upper() in FUNCTIONS:
        return _call(session, Reader(sql))
    return None


def _in_account(session: Session, read: Reader) -> bool:
    read.next()
    read.next()
    in_account = read.take("in", "account")
    read.end()
    return in_account and "ACCOUNTADMIN" in session.account.grants.hierarchy(session.role)


def _show_locks(session: Session, read: Reader) -> Rows:
    """SHOW LOCKS.

    https://docs.snowflake.com/en/sql-reference/sql/show-locks
    """
    in_account = _in_account(session, read)
    transactions = session.account.transactions
    is_admin = "ACCOUNTADMIN" in session.account.grants.hierarchy(session.role)
    rows = []
    with transactions.ended:
        for one in transactions.open:
            held = [
                (table, "HOLDING", lock.acquired_on.isoformat(), lock.query_id)
                for table, lock in one.locks.items()
                if lock.is_exclusive
            ]
            waited_for = [
                (table, "WAITING", None, statement.query_id)
                for statement in transactions.running
                if statement.session is one.session
                for table in statement.waits_for
            ]
            if in_account or one.session.user == session.user:
                rows += [
                    (
                        qualified(table),
                        "PARTITIONS",
                        one.number,
                        one.started_on.isoformat(),
                        how,
                        acquired_on,
                        query_id,
                        one.session.number if is_admin else None,
                    )
                    for table, how, acquired_on, query_id in (*held, *waited_for)
                ]
    columns = [
        *texts("resource type"),
        ("transaction", "bigint"),
        ("transaction_started_on", "timestamptz"),
        ("status", "varchar"),
        ("acquired_on", "timestamptz"),
        ("query_id", "varchar"),
        ("session", "bigint"),
    ]
    return Rows(columns, rows)


def _show_transactions(session: Session, read: Reader) -> Rows:
    """SHOW TRANSACTIONS.

    https://docs.snowflake.com/en/sql-reference/sql/show-transactions
    """
    wants_account = "account" in first_words(read.sql)
    in_account = _in_account(session, read)
    if wants_account and not in_account:
        raise insufficient("ACCOUNT", ())
    transactions = session.account.transactions
    with transactions.ended:
        rows = [
            (
                one.number,
                one.session.user,
                one.session.number,
                one.name,
                one.started_on.isoformat(),
                "running",
                0,
            )
            for one in transactions.open
            if in_account or one.session.user == session.user
        ]
    columns = [
        ("id", "bigint"),
        ("user", "varchar"),
        ("session", "bigint"),
        ("name", "varchar"),
        ("started_on", "timestamptz"),
        ("state", "varchar"),
        ("scope", "bigint"),
    ]
    return Rows(columns, rows)


def _call(session: Session, read: Reader) -> Rows | None:
    """Handle SELECT of one system function with one constant; the answers are the docs'."""
    read.next()
    call = read.next().text.upper()
    read.expect("(")
    token = read.peek()
    if token is None or token.kind not in ("number", "string"):
        read.fail()
    argument = read.string() if token.kind == "string" else read.next().text
    read.expect(")")
    name = read.name()[-1] if read.take("as") else f"{call}({token.text})"
    read.end()
    return Rows([(name, "varchar")], [(FUNCTIONS[call](session, argument),)])


def _session(session: Session, number: str) -> Session:
    found = [one for one in list(session.account.sessions) if str(one.number) == number]
    if not found or found[0].is_aborted:
        raise compilation_error(f"Session '{number}' does not exist.", 391920, "02000")
    _require(session, found[0])
    return found[0]


def _require(session: Session, other: Session) -> None:
    """Raise Snowflake's error if this belongs to another user, unless an administrator asks."""
    if other.user != session.user and not session.account.grants.is_admin(session.role):
        raise insufficient("USER", (other.user,))


def _cancel_all(session: Session, number: str) -> str:
    """Cancel all statements of a session.

    https://docs.snowflake.com/en/sql-reference/functions/system_cancel_all_queries
    """
    transactions = session.account.transactions
    found = transactions.of_session(_session(session, number))
    return f"{transactions.cancel(found)} cancelled."


def _cancel(session: Session, query_id: str) -> str:
    """Cancel a statement.

    https://docs.snowflake.com/en/sql-reference/functions/system_cancel_query
    """
    transactions = session.account.transactions
    with transactions.ended:
        found = [one for one in transactions.running if one.query_id == query_id]
    if not found:
        return "Identified SQL statement is not currently executing."
    _require(session, found[0].session)
    transactions.cancel(found)
    return f"query [{query_id}] terminated."


def _abort_transaction(session: Session, number: str) -> str:
    """Roll back a transaction of any session.

    https://docs.snowflake.com/en/sql-reference/functions/system_abort_transaction
    """
    transactions = session.account.transactions
    found = [one for one in list(transactions.open) if str(one.number) == number]
    if not found:
        raise compilation_error(f"Transaction '{number}' does not exist.", 391921, "02000")
    _require(session, found[0].session)
    transactions.cancel(transactions.of_session(found[0].session))
    with transactions.ended:
        if found[0] in transactions.open:
            transactions.rollback(found[0])
    return f"Aborted transaction id: {number}"


def _abort_session(session: Session, number: str) -> str:
    """End a session.

    https://docs.snowflake.com/en/sql-reference/functions/system_abort_session
    """
    other = _session(session, number)
    other.is_aborted = True
    session.account.transactions.close(other)
    return f"session [{number}] terminated."


FUNCTIONS = {
    "SYSTEM$CANCEL_ALL_QUERIES": _cancel_all,
    "SYSTEM$CANCEL_QUERY": _cancel,
    "SYSTEM$ABORT_TRANSACTION": _abort_transaction,
    "SYSTEM$ABORT_SESSION": _abort_session,
}
