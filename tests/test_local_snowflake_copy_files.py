"""COPY FILES on the local Snowflake; https://docs.snowflake.com/en/sql-reference/sql/copy-files."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import ProgrammingError
from snowflake_projects import LocalSnowflake
from test_local_snowflake_stages import fails, make, run

pytestmark = pytest.mark.exhaustive

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def connection(local_snowflake: LocalSnowflake, tmp_path: Path) -> Iterator[SnowflakeConnection]:
    """A session whose database has three files on the stage `source`, and an empty `target`."""
    with local_snowflake.connect(database=local_snowflake.new_database()) as connection:
        for stage in ("source", "target"):
            run(connection, f"create stage {stage} encryption = (type = 'SNOWFLAKE_SSE')")
        for place, name in (("", "a.csv"), ("in/", "b.csv"), ("in/deep/", "c.zip")):
            put = f"put 'file://{make(tmp_path, name, name.encode())}' @source/{place}"
            run(connection, f"{put} auto_compress = false")
        yield connection


@pytest.fixture
def sql(connection: SnowflakeConnection) -> Sql:
    return lambda text: run(connection, text)


def names(sql: Sql, stage: str = "target") -> list[str]:
    return [name.removeprefix(f"{stage}/") for name, *_ in sql(f"list @{stage}")]


@pytest.mark.parametrize(
    ("places", "options", "copied"),
    [
        ("@target from @source", "", ["a.csv", "in/b.csv", "in/deep/c.zip"]),
        ("@target/to from @source/in/", "", ["to/b.csv", "to/deep/c.zip"]),
        ("'@target/a b/' from '@source/in/deep/'", "", ["a b/c.zip"]),
        ("@target from @source/in/b.csv", "", ["b.csv"]),
        ("@target from @source", "files = ('a.csv', 'in/b.csv')", ["a.csv", "in/b.csv"]),
        ("@target from @source/in", "files = ('b.csv', 'gone.csv')", ["b.csv"]),
        ("@target from @source", "files = ('b.csv')", []),
        ("@target from @source", "pattern = '.*[.]csv'", ["a.csv", "in/b.csv"]),
        ("@target from @source", "pattern = 'in/.*'", []),
        ("@target from @source", "files = ('a.csv') pattern = '.*zip'", []),
        ("@target from @source/IN/", "", []),
    ],
)
def test_it_copies_what_is_named(sql: Sql, places: str, options: str, copied: list[str]) -> None:
    assert sql(f"copy files into {places} {options}") == [(name,) for name in copied]
    assert names(sql) == copied
    assert names(sql, "source") == ["a.csv", "in/b.csv", "in/deep/c.zip"]


def test_the_answer_lists_files_or_counts_them(connection: SnowflakeConnection) -> None:
    for option, column, rows in (
        ("", "file", 3),
        ("detailed_output = true", "file", 3),
        ("detailed_output = FALSE", "numOfFilesCopied", 1),
    ):
        cursor = connection.cursor().execute(f"copy files into @target from @source {option}")
        assert cursor is not None
        assert [one.name for one in cursor.description] == [column]
        assert len(cursor.fetchall()) == rows


def test_a_file_of_the_same_name_is_overwritten_and_others_stay(sql: Sql, tmp_path: Path) -> None:
    for name in ("a.csv", "other.csv"):
        put = f"put 'file://{make(tmp_path, name, b'something else')}' @target"
        sql(f"{put} auto_compress = false")
    sql("copy files into @target from @source files = ('a.csv')")

    listed = {name: (size, md5) for name, size, md5, _ in sql("list @target")}
    assert listed["target/a.csv"] == (5, hashlib.md5(b"a.csv").hexdigest())
    assert listed["target/other.csv"][0] == len(b"something else")


def test_a_copy_has_the_encryption_of_its_stage(sql: Sql) -> None:
    sql("create stage sealed")
    sql("copy files into @sealed from @source")
    sql("copy files into @target from @sealed")

    assert [size for _, size, *_ in sql("list @sealed")] == [16, 16, 16]
    assert [size for _, size, *_ in sql("list @target")] == [5, 5, 5]


def test_a_copy_onto_itself_keeps_the_file(sql: Sql) -> None:
    sql("copy files into @source/in/ from @source/in/")
    assert [size for _, size, *_ in sql("list @source")] == [5, 5, 5]


@pytest.mark.parametrize(
    ("statement", "errno", "says"),
    [
        ("copy files into @gone from @source", 2003, "Stage '.*GONE' does not exist or not"),
        ("copy files into @target from @gone", 2003, "Stage '.*GONE' does not exist or not"),
        ("copy files into @target from @~/a/", 2, "a user's or a table's stage"),
        ("copy files into @%table from @source", 2, "a user's or a table's stage"),
        ("copy files into @target from @public.%table", 2, "a user's or a table's stage"),
        ("copy files into @target from (select '@source/a.csv')", 2, "from a query"),
        ("copy files into @target", 1003, "unexpected '<EOF>'"),
        ("copy files into target from @source", 1003, "unexpected 'target'"),
        ("copy files into @target from @source files = ()", 1003, "unexpected"),
        ("copy files into @target from @source files = 'a'", 1003, "unexpected"),
        ("copy files into @target from @source overwrite = true", 1003, "unexpected 'overwrite'"),
        ("copy files into @target from @source detailed_output = 1", 1008, "DETAILED_OUTPUT"),
        ("copy files into @target from @source pattern = 'a' pattern = 'a'", 1403, "PATTERN"),
    ],
)
def test_a_wrong_statement_is_refused(sql: Sql, statement: str, errno: int, says: str) -> None:
    fails(sql, statement, errno, says)
    assert names(sql) == []


def test_at_most_a_thousand_files_are_named(sql: Sql) -> None:
    listed = ", ".join(["'a.csv'"] * 1000)
    assert sql(f"copy files into @target from @source files = ({listed})") == [("a.csv",)]
    fails(sql, f"copy files into @target from @source files = ({listed}, 'b')", 1008, "1000")


def test_it_needs_read_on_the_source_and_write_on_the_target(
    local_snowflake: LocalSnowflake, connection: SnowflakeConnection
) -> None:
    database, role = connection.database, f"role_{secrets.token_hex(4)}"
    run(connection, f"create role {role}")
    run(connection, f"grant role {role} to user tester")

    def grant(privilege: str) -> None:
        run(connection, f"grant {privilege} to role {role}")

    def copy() -> list[tuple[Any, ...]]:
        return local_snowflake.execute(
            "copy files into @target from @source", database=database, schema="public", role=role
        )

    grant(f"usage on database {database}")
    grant("usage on schema public")
    for privilege, says in (
        ("read on stage target", "SOURCE' does not exist or not authorized"),
        ("read on stage source", "Insufficient privileges to operate on stage 'TARGET'"),
    ):
        grant(privilege)
        with pytest.raises(ProgrammingError, match=says):
            copy()
    grant("write on stage target")
    assert len(copy()) == 3


def test_an_external_stage_is_a_folder_that_needs_usage(
    local_snowflake: LocalSnowflake, connection: SnowflakeConnection, sql: Sql, tmp_path: Path
) -> None:
    (tmp_path / "outside/in").mkdir(parents=True)
    make(tmp_path / "outside/in", "d.zip", b"outside")
    url = f"file://{tmp_path}/outside"
    sql(f"create stage slashed url = '{url}/'")
    sql(f"create stage bare url = '{url}'")
    role = f"role_{secrets.token_hex(4)}"
    sql(f"create role {role}")
    sql(f"grant role {role} to user tester")
    sql(f"grant usage on database {connection.database} to role {role}")
    sql(f"grant usage on schema public to role {role}")
    keys = {"database": connection.database, "schema": "public", "role": role}
    with pytest.raises(ProgrammingError, match="SLASHED' does not exist or not authorized"):
        local_snowflake.execute("list @slashed", **keys)
    sql(f"grant usage on stage slashed to role {role}")

    assert local_snowflake.execute("list @slashed", **keys)[0][:2] == (f"{url}/in/d.zip", 7)
    fails(sql, f"grant read on stage slashed to role {role}", 3008, "READ")
    fails(sql, f"grant usage on stage target to role {role}", 3008, "USAGE")
    fails(sql, "remove @slashed", 1003, "only reads external stages")
    assert [row[10] for row in sql("show stages like 'slashed'")] == ["EXTERNAL"]
    for stage, copied in (("slashed", [("in/d.zip",)]), ("bare", [])):
        copy = f"copy files into @target from @{stage} files = ('in/d.zip')"
        assert sql(copy) == copied, "nothing puts a slash between a URL and a name"
    assert sql("copy files into @target from @bare/in/ files = ('d.zip')") == [("d.zip",)]
    sql("drop stage slashed")
    assert (tmp_path / "outside/in/d.zip").is_file()


def test_a_block_runs_a_statement_or_returns_its_error(sql: Sql) -> None:
    block = (
        "execute immediate $$begin execute immediate '{}'; return 'done'; "
        "exception when other then return sqlerrm; end;$$"
    )
    copy = "copy files into @target from @{} files = (''a.csv'')"
    assert sql(block.format(copy.format("source"))) == [("done",)]
    assert names(sql) == ["a.csv"]
    [(said,)] = sql(block.format(copy.format("gone")))
    assert "GONE' does not exist or not authorized." in said


def test_a_temporary_function_belongs_to_its_session(
    local_snowflake: LocalSnowflake, connection: SnowflakeConnection, sql: Sql
) -> None:
    create = (
        "create or replace {} function f() returns varchar language python "
        "runtime_version = '3.11' handler = 'f' as $$\ndef f():\n    return 'here'\n$$"
    )
    show = f"show user functions in schema {connection.database}.public"
    with local_snowflake.connect(database=connection.database, schema="public") as other:
        run(other, create.format("temporary"))
        assert run(other, "select f()") == [("here",)]
        assert len(run(other, show)) == 1
        assert sql(show) == []
        fails(sql, f"select {connection.database}.public.f()", 2140, "Unknown function")
    with local_snowflake.connect(database=connection.database, schema="public") as another:
        assert run(another, show) == []
        fails(lambda text: run(another, text), "drop function f()", 2003, "does not exist")
