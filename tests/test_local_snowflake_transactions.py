"""The local Snowflake's transactions and locks, and statements that take long or are canceled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError
from snowflake_projects import LocalSnowflake, serve

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

pytestmark = pytest.mark.exhaustive

SLOW = """
create or replace function slow(x int) returns int language python runtime_version = '3.11'
packages = () artifact_repository = snowflake.snowpark.pypi_shared_repository handler = 'wait'
as $$
import time
def wait(x):
    time.sleep({seconds})
    return x
$$
"""
# A client that dies in a transaction, as dbt does in the MERGE of a store.
DYING = """
import sys, signal, warnings
warnings.simplefilter("ignore")
import snowflake.connector
session = snowflake.connector.connect(account="local", host="127.0.0.1", port=int(sys.argv[1]),
                                      protocol="http", user="me", password="x",
                                      database=sys.argv[2], schema="dev")
for sql in sys.argv[3:]:
    session.cursor().execute(sql)
print("ready", flush=True)
signal.pause()
"""
MERGE = "merge into t using u on t.id = u.id when matched then update set x = 'killed'"


@pytest.fixture(scope="module")
def impatient() -> Iterator[LocalSnowflake]:
    """A server that takes a second for long, and two for five minutes."""
    with serve(LOCAL_SNOWFLAKE_ANSWER_SECONDS="0.5", LOCAL_SNOWFLAKE_IDLE_SECONDS="2") as server:
        yield server


@pytest.fixture
def database(impatient: LocalSnowflake) -> str:
    name = impatient.new_database()
    impatient.execute("create schema dev", database=name)
    for table in ("t", "u"):
        sql = f"create table {table} as select 1 as id, 'old' as x"
        impatient.execute(sql, database=name, schema="dev")
    return name


@pytest.fixture
def connect(
    impatient: LocalSnowflake, database: str
) -> Iterator[Callable[..., SnowflakeConnection]]:
    opened: list[SnowflakeConnection] = []

    def connect(**keys: Any) -> SnowflakeConnection:  # noqa: ANN401 - the connector's own
        opened.append(impatient.connect(**{"database": database, "schema": "dev", **keys}))
        return opened[-1]

    yield connect
    for session in opened:
        session.close()


@pytest.fixture
def session(connect: Callable[..., SnowflakeConnection]) -> SnowflakeConnection:
    return connect()


@pytest.fixture
def other(connect: Callable[..., SnowflakeConnection]) -> SnowflakeConnection:
    return connect()


def run(session: SnowflakeConnection, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements; return the rows of the last."""
    rows: Any = []
    for sql in statements:
        rows = session.cursor().execute(sql).fetchall()  # pyright: ignore
    return [tuple(row) for row in rows]


@contextmanager
def beside(session: SnowflakeConnection, sql: str) -> Iterator[Future[list[tuple[Any, ...]]]]:
    """Run a statement beside others."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(run, session, sql)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that comes; a minute is for a machine that has other things to do."""
    pause = threading.Event()
    for _ in range(600):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError("it has not come within a minute")


def locks(session: SnowflakeConnection) -> list[tuple[str, str]]:
    return [(row[0].rpartition(".")[2], row[4]) for row in run(session, "show locks")]


# Statements that take long


def test_a_statement_that_takes_long_runs_once(
    impatient: LocalSnowflake, connect: Callable[..., SnowflakeConnection], database: str
) -> None:
    """A regression: the connector repeated its request, and each time the statement began again."""
    session = connect(socket_timeout=1)
    run(session, SLOW.format(seconds=1.5))
    assert run(session, "select sum(slow(id)) from t") == [(1,)]
    assert impatient.counters()["rows"][f"{database.upper()}.DEV.SLOW"] == 1


def test_a_request_that_comes_again_is_answered_once(
    impatient: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    run(session, SLOW.format(seconds=1))
    request_id = str(uuid.uuid4())

    def ask(query: str) -> dict[str, Any]:
        return post(impatient, session, f"/queries/v1/query-request?requestId={request_id}{query}")

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(ask, ["", "&retryCount=1&retryReason=0"]))
    assert {answer["code"] for answer in answers} == {"333333"}
    [query_id] = {answer["data"]["queryId"] for answer in answers}
    result = answers[0]
    while result.get("code") == "333333":
        assert result["data"]["getResultUrl"] == f"/queries/{query_id}/result"
        result = get(impatient, session, result["data"]["getResultUrl"])
    assert result["success"]
    assert result["data"]["queryId"] == query_id
    assert ask("&retryCount=2") == result
    assert impatient.counters()["rows"][f"{database.upper()}.DEV.SLOW"] == 1


def post(server: LocalSnowflake, session: SnowflakeConnection, path: str) -> dict[str, Any]:
    body = json.dumps({"sqlText": "select sum(slow(id)) from t"}).encode()
    return ask(server, session, path, body)


def get(server: LocalSnowflake, session: SnowflakeConnection, path: str) -> dict[str, Any]:
    return ask(server, session, path, None)


def ask(
    server: LocalSnowflake, session: SnowflakeConnection, path: str, body: bytes | None
) -> dict[str, Any]:
    assert session.rest is not None
    headers = {"Authorization": f'Snowflake Token="{session.rest.token}"'}
    request = Request(f"http://127.0.0.1:{server.port}{path}", data=body, headers=headers)
    with urlopen(request) as answer:
        return json.load(answer)


def test_a_statement_runs_without_its_client(session: SnowflakeConnection) -> None:
    run(session, SLOW.format(seconds=1))
    cursor = session.cursor()
    query_id = cursor.execute_async("select slow(id) + 1 from t")["queryId"]
    assert session.is_still_running(session.get_query_status(query_id))
    cursor.get_results_from_sfqid(query_id)
    assert cursor.fetchall() == [(2,)]
    cursor.execute_async("select slow(id) + nothing from t")
    assert cursor.sfqid is not None
    with pytest.raises(DatabaseError, match="NOTHING"):
        cursor.get_results_from_sfqid(cursor.sfqid)
        cursor.fetchall()


def test_a_login_waits_for_no_statement(
    impatient: LocalSnowflake,
    connect: Callable[..., SnowflakeConnection],
    session: SnowflakeConnection,
    database: str,
) -> None:
    run(session, SLOW.format(seconds=60))
    with beside(session, "select slow(id) from t") as slow:
        until(lambda: impatient.counters()["rows"].get(f"{database.upper()}.DEV.SLOW"))
        other = connect()
        assert not slow.done()
        run(other, f"select system$cancel_all_queries({session.session_id})")
        with pytest.raises(ProgrammingError, match="SQL execution canceled"):
            slow.result(timeout=60)


# Canceling


def test_canceling_ends_what_a_session_runs(
    session: SnowflakeConnection, other: SnowflakeConnection
) -> None:
    run(session, SLOW.format(seconds=60))
    with beside(session, "select slow(id) from t") as slow:
        cancel = f"select system$cancel_all_queries({session.session_id})"
        until(lambda: run(other, cancel) == [("1 cancelled.",)])
        with pytest.raises(ProgrammingError, match="SQL execution canceled") as canceled:
            slow.result(timeout=60)
    assert (canceled.value.errno, canceled.value.sqlstate) == (604, "57014")
    assert run(session, "select 1") == [(1,)]
    assert run(other, cancel) == [("0 cancelled.",)]


def test_a_client_cancels_when_its_time_is_up(session: SnowflakeConnection) -> None:
    run(session, SLOW.format(seconds=60))
    with pytest.raises(ProgrammingError, match="cancel"):
        session.cursor().execute("select slow(id) from t", timeout=2)
    assert run(session, "select 1") == [(1,)]


def test_a_statement_is_canceled_by_its_id(
    session: SnowflakeConnection, other: SnowflakeConnection
) -> None:
    missing = uuid.uuid4()
    assert run(other, f"select system$cancel_query('{missing}')") == [
        ("Identified SQL statement is not currently executing.",)
    ]
    run(session, "begin", "update t set x = 'mine'")
    with beside(other, "update t set x = 'theirs'") as waiting:
        until(lambda: ("T", "WAITING") in locks(session))
        [query_id] = {row[6] for row in run(session, "show locks") if row[4] == "WAITING"}
        run(session, f"select system$cancel_query('{query_id}')")
        with pytest.raises(ProgrammingError, match="SQL execution canceled"):
            waiting.result(timeout=60)


def test_only_its_user_or_an_administrator_cancels(
    connect: Callable[..., SnowflakeConnection], session: SnowflakeConnection
) -> None:
    stranger = connect(user="stranger", role="public")
    run(session, "begin", "update t set x = 'mine'")
    number = run(session, "select current_transaction()")[0][0]
    for call in (
        f"system$cancel_all_queries({session.session_id})",
        f"system$abort_session({session.session_id})",
        f"system$abort_transaction({number})",
    ):
        with pytest.raises(ProgrammingError, match="Insufficient privileges"):
            run(stranger, f"select {call}")
    assert run(stranger, "show locks in account") == []
    with pytest.raises(ProgrammingError, match="Insufficient privileges"):
        run(stranger, "show transactions in account")


# Transactions and locks


def test_a_killed_client_locks_one_table_for_a_while(
    impatient: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    """A regression: kill -9 of dbt in a store's MERGE locked all of the account."""
    with killed(impatient, database, "begin", MERGE):
        run(session, "update u set x = 'beside'", "create table w as select 1 as id")
        run(session, "begin", "insert into t select 2, 'beside'", "commit")
        run(session, "update t set x = 'after' where x = 'old'")
    assert run(session, "select * from t order by id") == [(1, "after"), (2, "beside")]
    assert run(session, "show transactions") == []


@contextmanager
def killed(server: LocalSnowflake, database: str, *statements: str) -> Iterator[None]:
    """Let a client run statements, and die."""
    command = [sys.executable, "-c", DYING, str(server.port), database, *statements]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        client.send_signal(signal.SIGKILL)
    yield


def test_locks_and_transactions_are_shown_and_aborted(
    impatient: LocalSnowflake, session: SnowflakeConnection, database: str
) -> None:
    with killed(impatient, database, "begin name dbt", MERGE):
        whole = f"{database.upper()}.DEV.T"
        [lock] = run(session, "show locks in account")
        [transaction] = run(session, "show transactions in account")
        assert (lock[0], lock[1], lock[4]) == (whole, "PARTITIONS", "HOLDING")
        assert lock[2] == transaction[0]
        assert lock[7] == transaction[2]
        assert (transaction[1], transaction[3], transaction[5]) == ("ME", "DBT", "running")
        assert run(session, "show locks") == []  # of its own user
        abort = f"select system$abort_transaction({lock[2]})"
        assert run(session, abort) == [(f"Aborted transaction id: {lock[2]}",)]
        assert run(session, "show locks in account") == []
        with pytest.raises(ProgrammingError, match="does not exist"):
            run(session, abort)
    assert run(session, "select x from t") == [("old",)]


def test_a_session_is_aborted(session: SnowflakeConnection, other: SnowflakeConnection) -> None:
    run(session, "begin", "update t set x = 'mine'")
    number = session.session_id
    assert run(other, f"select system$abort_session({number})") == [
        (f"session [{number}] terminated.",)
    ]
    assert run(other, "update t set x = 'theirs'", "select x from t") == [("theirs",)]
    with pytest.raises(DatabaseError, match="Session no longer exists"):
        run(session, "select 1")


def test_closing_a_session_undoes_its_transaction(
    connect: Callable[..., SnowflakeConnection], other: SnowflakeConnection
) -> None:
    session = connect()
    run(session, "begin", "update t set x = 'mine'")
    session.close()
    assert run(other, "show transactions", "select x from t") == [("old",)]
    assert run(other, "show locks") == []


def test_a_deadlock_has_one_victim(
    session: SnowflakeConnection, other: SnowflakeConnection
) -> None:
    """The statement that came last fails; its transaction goes on."""
    run(session, "begin", "update t set x = 'a'")
    run(other, "begin", "update u set x = 'b'")
    with beside(session, "update u set x = 'a'") as waiting:
        until(lambda: ("U", "WAITING") in locks(other))
        with pytest.raises(ProgrammingError, match="deadlock"):
            run(other, "update t set x = 'b'")
        assert run(other, "select x from u") == [("b",)]
        run(other, "rollback")
        waiting.result(timeout=60)
    run(session, "commit")
    assert run(session, "select t.x, u.x from t, u") == [("a", "a")]


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ("update t set x = 'b'", True),
        ("delete from t", True),
        (MERGE, True),
        ("truncate table t", True),
        ("insert overwrite into t select 1, 'b'", True),
        ("insert into t select 2, 'b'", False),
        ("update u set x = 'b'", False),
        ("alter table t add column y int", True),
        ("create or replace table t as select 1 as id", True),
        ("drop table t", True),
        ("drop schema dev", True),
        ("create table v as select * from t", False),
        ("create or replace view v as select * from t", False),
        ("create or replace temporary table t as select 1 as id", False),
        ("select x from t", False),
        ("begin", False),
    ],
)
def test_a_statement_waits_for_the_tables_that_it_changes(
    session: SnowflakeConnection, other: SnowflakeConnection, change: str, waits: bool
) -> None:
    run(session, "begin", "update t set x = 'a'")
    run(other, "alter session set lock_timeout = 0")
    if not waits:
        run(other, change)
        return
    with pytest.raises(ProgrammingError, match=r"has locked table .*\.DEV\.T") as refused:
        run(other, change)
    assert refused.value.errno == 625


def test_a_statement_reads_what_is_committed_before_it_begins(
    session: SnowflakeConnection, other: SnowflakeConnection
) -> None:
    run(other, "begin")
    assert run(other, "select x from t") == [("old",)]
    run(session, "begin", "update t set x = 'new'")
    assert run(other, "select x from t") == [("old",)]
    run(session, "commit")
    assert run(other, "select x from t") == [("new",)]
    run(other, "begin")  # which is ignored
    assert run(other, "update t set x = x || 'er'", "select x from t") == [("newer",)]
    assert run(session, "select x from t") == [("new",)]
    run(other, "rollback")
    assert run(other, "select x from t") == [("new",)]


def test_without_autocommit_the_first_change_begins_a_transaction(
    connect: Callable[..., SnowflakeConnection], other: SnowflakeConnection
) -> None:
    session = connect(autocommit=False)
    run(session, "update t set x = 'mine'")
    assert run(other, "select x from t") == [("old",)]
    session.commit()
    assert run(other, "select x from t") == [("mine",)]
    run(session, "update t set x = 'undone'")
    session.rollback()
    session.autocommit(True)
    assert run(session, "select x from t") == [("mine",)]
