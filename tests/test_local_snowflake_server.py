"""The local Snowflake on its own: its command line, logins, databases, and what it leaves."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import snowflake.connector
import yaml
from snowflake.connector.errors import DatabaseError, ProgrammingError
from snowflake_projects import MODULE, LocalSnowflake

pytestmark = pytest.mark.exhaustive

SECRET = "do-not-log-this"
ASK = """
import os, sys, warnings
warnings.simplefilter("ignore")
import snowflake.connector
port = int(os.environ["LOCAL_SNOWFLAKE_PORT"])
with snowflake.connector.connect(account="local", host="127.0.0.1", port=port, protocol="http",
                                 user="me", password="x", database="demo") as connection:
    print(*connection.cursor().execute("select current_database()").fetchone())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for temporary files, to see what is left in it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@contextmanager
def started(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Serve, with temporary files in a folder."""
    with subprocess.Popen(
        [sys.executable, str(MODULE), "serve", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def server_of(process: subprocess.Popen[str]) -> LocalSnowflake:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("local_snowflake listens on 127.0.0.1, port ")
    return LocalSnowflake(int(line.rpartition(" ")[2]))


def use(server: LocalSnowflake, path: Path) -> None:
    """Leave something: a session, a table, a staged file, an error."""
    server.execute("create table t as select 1 as one", database="demo", schema="public")
    server.execute("create stage files", database="demo")
    server.execute(f"put 'file://{path}' @files", database="demo")
    with pytest.raises(ProgrammingError):
        server.execute("select * from nowhere", database="demo")


# The command line


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "end of input"])
def test_serve_ends_and_leaves_nothing(folder: Path, tmp_path: Path, end: str) -> None:
    with started(folder) as process:
        server = server_of(process)
        use(server, Path(__file__))
        if end == "end of input":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[end])
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""
    assert list(folder.iterdir()) == []


def test_serve_takes_a_port(folder: Path) -> None:
    with started(folder) as process:
        port = server_of(process).port
        process.terminate()
        process.wait(timeout=60)
    with started(folder, "--port", str(port)) as process:
        assert server_of(process).port == port


def test_serve_prints_a_profile_that_dbt_can_copy(folder: Path) -> None:
    with started(folder, "--profile") as process:
        server = server_of(process)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "Ctrl-C stops it.\n")
        text = "".join(lines)
    profile = text[text.index("  local_snowflake:") : text.index("From Python")]
    target = yaml.safe_load(profile)["local_snowflake"]
    assert target == {
        **server.profile(user="me", password="anything", threads=4),
        "database": "demo",
    }


KEPT = """
create role reader;
grant usage on database demo to role reader;
create schema demo.dev;
create table demo.dev.t (id int, v vector(float, 2), note varchar(20) comment 'a column')
  comment = 'a table';
insert into demo.dev.t select 1, [1, 2]::vector(float, 2), 'one';
create function demo.dev.twice(x int) returns int language python runtime_version = '3.11'
  packages = () artifact_repository = snowflake.snowpark.pypi_shared_repository handler = 'f'
  as 'f = lambda x: x * 2';
create view demo.dev.w as select demo.dev.twice(id) as twice, v from demo.dev.t;
create stage demo.dev.files;
put 'file://{path}' @demo.dev.files/folder auto_compress = false;
create database "an other";
create database gone;
create table "an other".public.t as select 1 as one;
drop database gone
"""
ASKED = [
    "select id, v, note from demo.dev.t",
    "select twice, v from demo.dev.w",
    "list @demo.dev.files",
    "select comment from demo.information_schema.columns where column_name = 'NOTE'",
    "select comment from demo.information_schema.tables where table_name = 'T'",
    'select * from "an other".public.t',
    "show databases",
    "show grants to role reader",
    "describe function demo.dev.twice(int)",
]


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM"])
def test_an_account_survives_its_server(folder: Path, tmp_path: Path, end: str) -> None:
    """A regression: a restart deleted the account."""
    keep = str(tmp_path / "account")
    with started(folder, "--keep", keep) as process:
        server = server_of(process)
        for sql in KEPT.format(path=Path(__file__)).split(";\n"):
            server.execute(sql)
        before = [sorted(server.execute(sql), key=str) for sql in ASKED]
        session = server.connect(database="demo", schema="dev")
        atexit.unregister(session._close_at_exit)  # the server is gone by then
        for sql in (
            "create temporary table mine as select 1 as x",
            "begin",
            "update t set note = 'never committed'",
        ):
            session.cursor().execute(sql)
        second = [sys.executable, str(MODULE), "serve", "--keep", keep]
        refused = subprocess.run(second, capture_output=True, text=True, check=False)
        process.send_signal(signal.Signals[end])
        process.wait(timeout=60)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is the account of another local Snowflake that runs" in refused.stderr
    with started(folder, "--keep", keep, "--profile") as process:
        server = server_of(process)
        assert [sorted(server.execute(sql), key=str) for sql in ASKED] == before
        server.execute(
            "create or replace function demo.dev.twice(x int) returns int language python "
            "runtime_version = '3.11' packages = () handler = 'f' as 'f = lambda x: x * 3'"
        )
        assert server.execute("select twice from demo.dev.w") == [(3,)]
        server.execute("remove @demo.dev.files")
        server.execute('drop database "an other"')
        process.terminate()
        process.wait(timeout=60)
        assert process.stdout is not None
        assert f"The account is kept in {keep}." in process.stdout.read()
    with started(folder, "--keep", keep) as process:
        server = server_of(process)
        assert server.execute("list @demo.dev.files") == []
        with pytest.raises(ProgrammingError, match="does not exist"):
            server.execute('use database "an other"')


def test_a_folder_of_another_version_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "account.pickle").write_bytes(b"something else")
    with started(folder, "--keep", str(tmp_path)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "is of another version of the local Snowflake. Remove " in err


def test_run_gives_the_port_to_a_command(folder: Path) -> None:
    done = run(folder, sys.executable, "-c", ASK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "DEMO\n", "")
    assert list(folder.iterdir()) == []


def test_run_passes_the_exit_code_on(folder: Path) -> None:
    assert run(folder, sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    missing = run(folder, "no-such-command")
    assert missing.returncode == 127
    assert missing.stderr == (
        "local_snowflake: cannot run no-such-command: No such file or directory\n"
    )


def test_run_passes_options_of_the_command_on(folder: Path) -> None:
    code = "import sys; print(sys.argv[1:])"
    assert run(folder, sys.executable, "-c", code, "--", "-x").stdout == "['--', '-x']\n"


def test_run_passes_sigterm_on(folder: Path) -> None:
    code = "import signal; print('ready', flush=True); signal.pause()"
    with subprocess.Popen(
        [sys.executable, str(MODULE), "run", "--", sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert list(folder.iterdir()) == []


def test_run_without_a_command_says_so(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 2
    assert "run needs a command" in done.stderr


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MODULE), "run", "--", *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},
    )


# Logins


def test_a_login_needs_a_credential(local_snowflake: LocalSnowflake) -> None:
    answer = log_in(local_snowflake, LOGIN_NAME="me")
    assert (answer["success"], answer["code"]) == (False, "390100")
    assert log_in(local_snowflake, LOGIN_NAME="me", PASSWORD="x")["success"]
    assert log_in(local_snowflake, LOGIN_NAME="me", TOKEN="x")["success"]


def log_in(server: LocalSnowflake, **data: object) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.port}/session/v1/login-request"
    body = json.dumps({"data": {**data, "SESSION_PARAMETERS": {}}}).encode()
    with urlopen(Request(url, data=body, method="POST")) as answer:
        return json.load(answer)


def test_a_key_pair_or_a_token_will_do(local_snowflake: LocalSnowflake) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    key = generate_private_key(65537, 2048)
    for how in (
        {"private_key": key},
        {"authenticator": "oauth", "token": SECRET},
        {"authenticator": "programmatic_access_token", "token": SECRET},
    ):
        with snowflake.connector.connect(
            account="local",
            host="127.0.0.1",
            port=local_snowflake.port,
            protocol="http",
            user="me",
            **how,
        ) as connection:
            cursor = connection.cursor().execute("select current_user(), current_role()")
            assert cursor is not None
            assert cursor.fetchone() == ("ME", "ACCOUNTADMIN")


def test_a_session_must_have_logged_in(local_snowflake: LocalSnowflake) -> None:
    url = f"http://127.0.0.1:{local_snowflake.port}/queries/v1/query-request"
    for sql in ("select 1", "put 'file:///etc/hostname' @~x"):
        body = json.dumps({"sqlText": sql}).encode()
        with pytest.raises(HTTPError, match="401"):
            urlopen(Request(url, data=body, method="POST"))


def test_no_credential_is_printed(folder: Path) -> None:
    with started(folder, "--profile") as process:
        server = server_of(process)
        with server.connect(password=SECRET, database="demo") as connection:
            with pytest.raises(ProgrammingError):
                connection.cursor().execute("this is not a statement")
            with pytest.raises(DatabaseError):
                server.connect(password=SECRET, role="nobody")
            log_in(server, LOGIN_NAME="me", TOKEN=SECRET)
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert SECRET not in out + err
    assert err == ""


def test_a_login_names_role_warehouse_database_and_schema(local_snowflake: LocalSnowflake) -> None:
    database = local_snowflake.new_database()
    local_snowflake.execute("create schema other", database=database)
    told = "select current_role(), current_warehouse(), current_database(), current_schema()"
    keys = {"database": database, "warehouse": "compute_wh"}
    assert local_snowflake.execute(told, role="sysadmin", schema="other", **keys) == [
        ("SYSADMIN", "COMPUTE_WH", database.upper(), "OTHER")
    ]
    assert local_snowflake.execute(told, **keys) == [
        ("ACCOUNTADMIN", "COMPUTE_WH", database.upper(), "PUBLIC")
    ]


def test_a_login_creates_nothing(local_snowflake: LocalSnowflake) -> None:
    missing = f"missing_{secrets.token_hex(4)}"
    told = "select current_database(), current_schema()"
    assert local_snowflake.execute(told, database=missing, schema="dev") == [(None, None)]
    database = local_snowflake.new_database()
    assert local_snowflake.execute(told, database=database, schema=missing) == [
        (database.upper(), None)
    ]
    for sql in (f"use database {missing}", f"use schema {database}.{missing}"):
        with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
            local_snowflake.execute(sql)


def test_what_a_login_may_not_see_is_not_used(local_snowflake: LocalSnowflake) -> None:
    database = local_snowflake.new_database()
    told = "select current_database(), current_schema()"
    assert local_snowflake.execute(told, role="public", database=database) == [(None, None)]


# Databases and schemas


def test_names_fold_to_upper_case_unless_they_are_quoted(local_snowflake: LocalSnowflake) -> None:
    name = f'My {secrets.token_hex(4)} "db"'
    quoted = '"' + name.replace('"', '""') + '"'
    with local_snowflake.connect() as connection:
        cursor = connection.cursor()
        assert cursor.execute(f"create database {quoted}").fetchall() == [  # pyright: ignore
            (f"Database {quoted} successfully created.",)
        ]
        cursor.execute('create schema if not exists "My Schema"')
        cursor.execute('create schema if not exists "My Schema"')
        assert row(cursor, "select current_database(), current_schema()") == (name, "My Schema")
        cursor.execute(f"use schema {quoted}.public")
        assert row(cursor, "select current_database(), current_schema()") == (name, "PUBLIC")
        with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
            cursor.execute(f"use schema {quoted}.my_schema")
    with local_snowflake.connect(database=quoted, schema='"My Schema"') as connection:
        told = row(connection.cursor(), "select current_database(), current_schema()")
        assert told == (name, "My Schema")
    local_snowflake.execute(f"drop database {quoted}")


def row(cursor: Any, sql: str) -> tuple[Any, ...]:  # noqa: ANN401
    return tuple(cursor.execute(sql).fetchone())


def test_tables_live_in_quoted_databases_and_schemas(local_snowflake: LocalSnowflake) -> None:
    database = f'"db {secrets.token_hex(4)}"'
    with local_snowflake.connect() as connection:
        cursor = connection.cursor()
        cursor.execute(f"create database {database}")
        cursor.execute('create schema "it\'s mine"')
        place = f'{database}."it\'s mine"."A Table"'
        cursor.execute(f"create table {place} (name varchar(20), size int)")
        cursor.execute(f"create or replace table {place} as select 'a' as name, 1 as size")
        cursor.execute(f"insert into {place} select 'b', 2")
        assert cursor.execute(f"select * from {place} order by 1").fetchall() == [  # pyright: ignore
            ("a", 1),
            ("b", 2),
        ]
        cursor.execute(f"create or replace view {database}.public.v as select * from {place}")
        assert row(cursor, f"select count(*) from {database}.public.v") == (2,)
        cursor.execute(f"drop database {database}")


def test_two_names_of_one_spelling_are_refused(local_snowflake: LocalSnowflake) -> None:
    """Snowflake has both; DuckDB cannot, and says so instead of giving one for the other."""
    database = local_snowflake.new_database()
    with pytest.raises(ProgrammingError, match="in case only"):
        local_snowflake.execute(f'create schema {database}."Public"')
    with pytest.raises(ProgrammingError, match="in case only"):
        local_snowflake.execute(f'create database "{database.lower()}"')


def test_parameters_of_a_session_are_taken(local_snowflake: LocalSnowflake) -> None:
    with local_snowflake.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("alter session set query_tag = 'dbt'")
        cursor.execute("alter session unset query_tag")
        cursor.execute("alter session set autocommit = true")
        cursor.execute("alter session set week_of_year_policy = 1, strict_json_output = true")
        assert row(cursor, "select 1") == (1,)


def test_parameters_of_a_session_are_shown(local_snowflake: LocalSnowflake) -> None:
    with local_snowflake.connect(session_parameters={"QUERY_TAG": "from the login"}) as session:
        cursor = session.cursor()
        shown = "show parameters like 'query_tag' in session"
        assert row(cursor, shown)[:4] == ("QUERY_TAG", "from the login", "", "SESSION")
        cursor.execute("alter session set query_tag = 'it''s', lock_timeout = 5")
        assert row(cursor, shown)[1] == "it's"
        assert row(cursor, "show parameters like 'lock\\\\_%'")[:3] == (
            "LOCK_TIMEOUT",
            "5",
            "43200",
        )
        cursor.execute("alter session unset query_tag, lock_timeout")
        assert row(cursor, shown)[1:4] == ("", "", "")
        for wrong in ("autocommit = 'maybe'", "lock_timeout = soon", f"query_tag = '{'x' * 2001}'"):
            with pytest.raises(ProgrammingError, match="invalid value"):
                cursor.execute(f"alter session set {wrong}")


def test_quoted_identifiers_can_ignore_case(local_snowflake: LocalSnowflake) -> None:
    database = local_snowflake.new_database()
    with local_snowflake.connect(database=database) as session:
        cursor = session.cursor()
        cursor.execute("create table t as select 'it''s \"x\"' as id")
        cursor.execute("alter session set quoted_identifiers_ignore_case = true")
        cursor.execute('select "id" as "an id" from "t" where "id" = \'it\'\'s "x"\'')
        assert [column.name for column in cursor.description] == ["AN ID"]
        assert cursor.fetchall() == [('it\'s "x"',)]
        cursor.execute("alter session unset quoted_identifiers_ignore_case")
        assert row(cursor, 'select 1 as "an id"') == (1,)
        assert [column.name for column in cursor.description] == ["an id"]


def test_quoted_names_of_objects_can_ignore_case(local_snowflake: LocalSnowflake) -> None:
    # https://docs.snowflake.com/en/sql-reference/identifiers-syntax
    with local_snowflake.connect(
        database=local_snowflake.new_database(),
        session_parameters={"QUOTED_IDENTIFIERS_IGNORE_CASE": True},
    ) as session:

        def run(sql: str) -> list[Any]:
            return [tuple(row) for row in session.cursor().execute(sql).fetchall()]  # pyright: ignore

        run('create schema "low"')
        assert run("select current_schema()") == [("LOW",)]
        run('create table "my table" as select 1 as "id"')
        run('create stage "my stage"')
        assert [row[1] for row in run("show stages like 'my stage' in schema low")] == ["MY STAGE"]
        assert run('list @"low"."My Stage"') == run('list \'@"low"."my stage"/folder\'') == []
        run(
            'create function "f"("X" varchar) returns varchar language python'
            " runtime_version = '3.11' handler = 'h' as $$def h(x): return '\"a\"'$$"
        )
        assert run('select "LOW"."F"(\'\')') == [('"a"',)]

        run("alter session unset quoted_identifiers_ignore_case")
        assert run('select id from low."MY TABLE"') == [(1,)]
        with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
            run('list @low."my stage"')


def test_a_database_is_created_once(local_snowflake: LocalSnowflake) -> None:
    database = local_snowflake.new_database()
    with pytest.raises(ProgrammingError, match="already exists") as caught:
        local_snowflake.execute(f"create database {database}")
    assert caught.value.errno == 2002
    local_snowflake.execute(f"create database if not exists {database}")
    local_snowflake.execute(f"drop database {database}")
    with pytest.raises(ProgrammingError, match=f"Database '{database.upper()}' does not exist"):
        local_snowflake.execute(f"drop database {database}")
    local_snowflake.execute(f"drop database if exists {database}")


def test_a_session_survives_the_end_of_its_database(local_snowflake: LocalSnowflake) -> None:
    database = local_snowflake.new_database()
    with local_snowflake.connect(database=database) as connection:
        cursor = connection.cursor()
        local_snowflake.execute(f"drop database {database}")
        assert row(cursor, "select current_database(), 1") == (None, 1)


def test_a_bug_fails_the_statement_at_once(local_snowflake: LocalSnowflake) -> None:
    """As HTTP status 500, the connector would repeat the statement for minutes."""
    with pytest.raises(ProgrammingError):
        local_snowflake.execute("select no_such_function_at_all(1)")
