"""Stages of the local Snowflake, through the real connector."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import OperationalError, ProgrammingError
from snowflake_projects import LocalSnowflake, serve

pytestmark = pytest.mark.exhaustive

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def connection(local_snowflake: LocalSnowflake) -> Iterator[SnowflakeConnection]:
    """A session in a database of its own, with a stage of each encryption."""
    with local_snowflake.connect(database=local_snowflake.new_database()) as connection:
        run(connection, "create stage plain encryption = (type = 'SNOWFLAKE_SSE')")
        run(connection, "create stage sealed")
        yield connection


@pytest.fixture
def sql(connection: SnowflakeConnection) -> Sql:
    return lambda text: run(connection, text)


def run(connection: SnowflakeConnection, text: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.cursor().execute(text).fetchall()]  # pyright: ignore


def dicts(connection: SnowflakeConnection, text: str) -> list[dict[str, Any]]:
    cursor = connection.cursor().execute(text)
    assert cursor is not None
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def make(folder: Path, name: str, content: bytes = b"some bytes") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def fails(sql: Sql, text: str, errno: int, message: str) -> None:
    with pytest.raises(ProgrammingError, match=message) as caught:
        sql(text)
    assert caught.value.errno == errno


# CREATE, SHOW, DESCRIBE, ALTER and DROP


def test_create_stage_says_what_it_did(sql: Sql) -> None:
    assert sql("create stage fresh") == [("Stage area FRESH successfully created.",)]
    assert sql("create stage if not exists fresh") == [
        ("FRESH already exists, statement succeeded.",)
    ]
    fails(sql, "create stage fresh", 2002, "Object 'FRESH' already exists.")


def test_or_replace_empties_a_stage_and_excludes_if_not_exists(sql: Sql, tmp_path: Path) -> None:
    sql(f"put 'file://{make(tmp_path, 'a')}' @plain auto_compress = false")
    sql("create or replace stage plain")
    assert sql("list @plain") == []
    fails(sql, "create or replace stage if not exists plain", 1003, "incompatible")


@pytest.mark.parametrize(
    ("encryption", "kind"),
    [
        ("", "INTERNAL"),
        ("encryption = (type = 'SNOWFLAKE_FULL')", "INTERNAL"),
        ("encryption = (type = 'SNOWFLAKE_SSE')", "INTERNAL NO CSE"),
        ("encryption=(type='snowflake_sse')", "INTERNAL NO CSE"),
    ],
)
def test_show_stages_tells_the_encryption(
    connection: SnowflakeConnection, encryption: str, kind: str
) -> None:
    run(connection, f"create stage told {encryption} comment = 'tf_embeddings: it''s \\'here\\''")
    shown = dicts(connection, "show stages like 'tol_'")
    assert [(row["name"], row["type"], row["comment"]) for row in shown] == [
        ("TOLD", kind, "tf_embeddings: it's 'here'")
    ]


@pytest.mark.parametrize("kind", ["AWS_SSE_KMS", "NONE", ""])
def test_another_encryption_is_refused(sql: Sql, kind: str) -> None:
    fails(sql, f"create stage other encryption = (type = '{kind}')", 1422, "SNOWFLAKE_SSE")


def test_a_misspelled_property_is_refused(sql: Sql) -> None:
    fails(sql, "create stage other encrypton = (type = 'SNOWFLAKE_SSE')", 1420, "encrypton")


def test_the_encryption_of_a_stage_stays(connection: SnowflakeConnection) -> None:
    run(connection, "create stage if not exists plain encryption = (type = 'SNOWFLAKE_FULL')")
    assert dicts(connection, "show stages like 'plain'")[0]["type"] == "INTERNAL NO CSE"
    with pytest.raises(ProgrammingError, match="cannot be changed"):
        run(connection, "alter stage plain set encryption = (type = 'SNOWFLAKE_FULL')")


def test_the_comment_of_a_stage_can_change(connection: SnowflakeConnection) -> None:
    run(connection, "comment on stage plain is 'one'")
    assert dicts(connection, "show stages like 'plain'")[0]["comment"] == "one"
    run(connection, "comment if exists on stage missing is 'one'")
    run(connection, "alter stage plain set comment = 'two'")
    assert dicts(connection, "show stages like 'plain'")[0]["comment"] == "two"


def test_show_stages_looks_where_it_is_told(connection: SnowflakeConnection) -> None:
    run(connection, "create schema elsewhere")
    run(connection, "create stage third")
    assert [row["name"] for row in dicts(connection, "show stages")] == ["THIRD"]
    everywhere = dicts(connection, f"show stages in database {connection.database}")
    assert [row["name"] for row in everywhere] == ["THIRD", "PLAIN", "SEALED"]
    in_public = dicts(connection, f"show stages in schema {connection.database}.public")
    assert [row["name"] for row in in_public] == ["PLAIN", "SEALED"]
    assert {row["schema_name"] for row in in_public} == {"PUBLIC"}


def test_describe_stage_gives_its_properties(connection: SnowflakeConnection) -> None:
    run(connection, "create stage listed directory = (enable = true)")
    described = dicts(connection, "describe stage listed")
    assert ("DIRECTORY", "ENABLE", "true") in [
        (row["parent_property"], row["property"], row["property_value"]) for row in described
    ]


def test_drop_stage_removes_it_with_its_files(sql: Sql, tmp_path: Path) -> None:
    sql(f"put 'file://{make(tmp_path, 'a')}' @plain auto_compress = false")
    assert sql("drop stage plain") == [("PLAIN successfully dropped.",)]
    fails(sql, "drop stage plain", 2003, "Stage '.*PLAIN' does not exist or not authorized")
    sql("drop stage if exists plain")
    sql("create stage plain")
    assert sql("list @plain") == []


@pytest.mark.parametrize("dropped", ["schema public", "database {database}"])
def test_the_stages_of_a_dropped_schema_are_gone(
    connection: SnowflakeConnection, dropped: str
) -> None:
    database = connection.database
    run(connection, f"drop {dropped.format(database=database)}")
    run(connection, f"create database if not exists {database}")
    run(connection, f"create schema if not exists {database}.public")
    assert run(connection, f"show stages in database {database}") == []


# Names and places


@pytest.mark.parametrize(
    ("created", "place", "listed"),
    [
        ("models", "@models/", "models/a.zip"),
        ("MoDels", "@MODELS", "models/a.zip"),
        ('"models"', '@"models"', "models/a.zip"),
        ('"my stage"', "'@\"my stage\"'", "my stage/a.zip"),
        ('"my stage"', '@"my stage"', "my stage/a.zip"),
        ('"it\'s"', "'@\"it\\'s\"/'", "it's/a.zip"),
        ('"a""b"', '\'@"a""b"\'', 'a"b/a.zip'),
        ('"a.b/c"', "'@public.\"a.b/c\"/'", "a.b/c/a.zip"),
    ],
)
def test_a_place_names_a_stage_as_identifiers_do(
    sql: Sql, tmp_path: Path, created: str, place: str, listed: str
) -> None:
    sql(f"create stage {created}")
    sql(f"put 'file://{make(tmp_path, 'a.zip')}' {place} auto_compress = false")
    assert [row[0] for row in sql(f"list {place}")] == [listed]


def test_a_stage_in_a_quoted_database_and_schema(
    local_snowflake: LocalSnowflake, tmp_path: Path
) -> None:
    path = make(tmp_path, "a.zip")
    with local_snowflake.connect() as connection:
        run(connection, f'create database "My {tmp_path.name}"')
        run(connection, 'create schema if not exists "the ""schema"')
        place = f'@"My {tmp_path.name}"."the ""schema"."Stage"'
        run(connection, f"create stage {place[1:]} encryption = (type = 'SNOWFLAKE_SSE')")
        run(connection, f"put 'file://{path}' '{place}/Folder/x y' auto_compress = false")
        assert run(connection, f"list '{place}'")[0][0] == "stage/Folder/x y/a.zip"
        run(connection, f'drop database "My {tmp_path.name}"')


def test_paths_are_case_sensitive(sql: Sql, tmp_path: Path) -> None:
    sql(f"put 'file://{make(tmp_path, 'a')}' @plain/Folder auto_compress = false")
    assert sql("list @plain/folder") == []
    assert len(sql("list @plain/Folder")) == 1


def test_a_place_needs_a_current_schema_or_a_full_name(local_snowflake: LocalSnowflake) -> None:
    with pytest.raises(ProgrammingError, match="does not have a current database"):
        local_snowflake.execute("list @models")


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        ("@nowhere.public.models", "Database 'NOWHERE'"),
        ("@nowhere.models", r"Schema '.*\.NOWHERE'"),
        ("@nowhere", r"Stage '.*\.PUBLIC\.NOWHERE'"),
        ('@"now here"', r"Stage '.*\.PUBLIC\.\"now here\"'"),
    ],
)
@pytest.mark.parametrize("command", ["list {}", "remove {}", "put 'file:///etc/hostname' {}"])
def test_what_is_missing_is_named(sql: Sql, command: str, place: str, missing: str) -> None:
    fails(sql, command.format(f"'{place}'"), 2003, f"{missing} does not exist or not authorized.")


# PUT


def test_put_uploads_a_file_and_reports_it(sql: Sql, tmp_path: Path) -> None:
    path = make(tmp_path, "a.zip", b"x" * 1000)
    put = f"put 'file://{path}' @plain/minilm/v1/ auto_compress = false"
    assert sql(put) == [("a.zip", "a.zip", 1000, 1000, "NONE", "NONE", "UPLOADED", "")]
    [(name, size, md5, modified)] = sql("list @plain")
    assert (name, size) == ("plain/minilm/v1/a.zip", 1000)
    assert md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert re.fullmatch(r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d GMT", modified)


def test_put_compresses_unless_told_not_to(sql: Sql, tmp_path: Path) -> None:
    [row] = sql(f"put 'file://{make(tmp_path, 'a.txt', b'x' * 1000)}' @plain")
    assert (row[1], row[5]) == ("a.txt.gz", "GZIP")
    assert [name for name, *_ in sql("list @plain")] == ["plain/a.txt.gz"]
    [again] = sql(f"put 'file://{tmp_path}/a.txt' @plain")
    assert (again[1], again[6]) == ("a.txt.gz", "SKIPPED")


def test_what_is_compressed_is_not_compressed_again(sql: Sql, tmp_path: Path) -> None:
    sql(f"put 'file://{make(tmp_path, 'a.gz')}' @plain")
    sql(f"put 'file://{make(tmp_path, 'a.parquet', b'PAR1...')}' @plain")
    sql(f"put 'file://{make(tmp_path, 'b.txt')}' @plain source_compression = gzip")
    names = [name for name, *_ in sql("list @plain")]
    assert names == ["plain/a.gz", "plain/a.parquet", "plain/b.txt"]


def test_without_overwrite_a_name_is_skipped_whatever_its_size(sql: Sql, tmp_path: Path) -> None:
    put = f"put 'file://{make(tmp_path, 'a.zip', b'old')}' @plain auto_compress = false"
    sql(put)
    make(tmp_path, "a.zip", b"a longer one")
    skipped = ("a.zip", "a.zip", 12, 0, "NONE", "NONE", "SKIPPED", "")
    assert sql(put) == [skipped]
    assert sql(f"{put} overwrite = false") == [skipped]
    assert sql("list @plain")[0][1] == 3
    assert sql(f"{put} overwrite = true")[0][6] == "UPLOADED"
    assert sql("list @plain")[0][1] == 12


def test_put_takes_a_glob(sql: Sql, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.zip"):
        make(tmp_path, name)
    rows = sql(f"put 'file://{tmp_path}/*.txt' @plain/all auto_compress = false")
    assert [(row[1], row[6]) for row in rows] == [("a.txt", "UPLOADED"), ("b.txt", "UPLOADED")]
    assert [row[0] for row in sql("list @plain")] == ["plain/all/a.txt", "plain/all/b.txt"]
    rows = sql(f"put 'file://{tmp_path}/*.txt' @plain/all auto_compress = false")
    assert [row[6] for row in rows] == ["SKIPPED", "SKIPPED"]


def test_put_takes_names_with_spaces_and_quotes(sql: Sql, tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    path = str(make(folder, "my file.zip")).replace("'", "\\'")
    sql(f"put 'file://{path}' '@plain/it\\'s here/' auto_compress = false")
    assert sql("list '@plain/it\\'s'")[0][0] == "plain/it's here/my file.zip"


def test_put_of_a_missing_file_fails(sql: Sql, tmp_path: Path) -> None:
    fails(sql, f"put 'file://{tmp_path}/none' @plain", 253006, "File doesn't exist")
    assert sql("list @plain") == []


@pytest.mark.parametrize("parallel", ["1", "99"])
def test_parallel_is_1_to_99(sql: Sql, tmp_path: Path, parallel: str) -> None:
    sql(f"put 'file://{make(tmp_path, 'a')}' @plain parallel = {parallel}")


@pytest.mark.parametrize(
    "option",
    ["parallel = 0", "parallel = 100", "overwrite = 1", "auto_compress = maybe", "over = true"],
)
def test_a_wrong_option_of_put_is_refused(sql: Sql, tmp_path: Path, option: str) -> None:
    with pytest.raises(ProgrammingError):
        sql(f"put 'file://{make(tmp_path, 'a')}' @plain {option}")
    assert sql("list @plain") == []


@pytest.mark.parametrize(("size", "padded"), [(0, 16), (15, 16), (16, 32), (1000, 1008)])
def test_client_side_encryption_pads_and_hides_the_digest(
    sql: Sql, tmp_path: Path, size: int, padded: int
) -> None:
    path = make(tmp_path, "a.zip", b"x" * size)
    sql(f"put 'file://{path}' @sealed auto_compress = false")
    [(_, listed, md5, _)] = sql("list @sealed")
    assert listed == padded
    assert md5 != hashlib.md5(path.read_bytes()).hexdigest()


def test_a_file_appears_when_all_of_it_is_there(
    local_snowflake: LocalSnowflake, sql: Sql, tmp_path: Path
) -> None:
    """A connector that is killed leaves nothing: here it sends less than it announced."""
    put = f"put 'file://{make(tmp_path, 'a.zip', b'x' * 1000)}' @plain auto_compress = false"
    url = upload_address(local_snowflake, sql, put)
    with socket.create_connection(("127.0.0.1", local_snowflake.port)) as client:
        client.sendall(f"PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode())
        client.sendall(b"x" * 500)
    assert sql("list @plain") == []
    urlopen(
        Request(f"http://127.0.0.1:{local_snowflake.port}{url}", data=b"x" * 1000, method="PUT")
    )
    assert sql("list @plain")[0][1] == 1000


def upload_address(server: LocalSnowflake, sql: Sql, put: str) -> str:
    """Return where the connector would send a file."""
    connection: Any = server.connect(database=sql("select current_database()")[0][0])
    with connection:
        answer = connection.cursor()._execute_helper(put)
    return "/" + answer["data"]["stageInfo"]["presignedUrl"].split("/", 3)[3]


def test_an_upload_needs_a_ticket(local_snowflake: LocalSnowflake) -> None:
    url = f"http://127.0.0.1:{local_snowflake.port}/local/upload/guessed"
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(url, data=b"x", method="PUT"))


def test_a_large_file_is_not_held_in_memory(own_server: LocalSnowflake, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(90_000_000)
    with own_server.connect(database="demo") as connection:
        run(connection, "create stage plain encryption = (type = 'SNOWFLAKE_SSE')")
        before = peak(own_server)
        run(connection, f"put 'file://{path}' @plain auto_compress = false")
        assert run(connection, "list @plain")[0][1] == 90_000_000
        assert peak(own_server) - before < 60_000_000


def peak(server: LocalSnowflake) -> int:
    """Return the most memory that the server's process has used, in bytes."""
    process = json.loads(ask(server, "counters"))["pid"]
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(kilobytes) * 1024


# LIST and REMOVE


@pytest.fixture
def filled(sql: Sql, tmp_path: Path) -> Sql:
    for folder in ("minilm/v1", "minilm/v2", "minilm2/v1"):
        sql(f"put 'file://{make(tmp_path, 'a.zip')}' @plain/{folder} auto_compress = false")
    return sql


@pytest.mark.parametrize(
    ("place", "files"),
    [
        ("@plain", ["minilm/v1/a.zip", "minilm/v2/a.zip", "minilm2/v1/a.zip"]),
        ("@plain/", ["minilm/v1/a.zip", "minilm/v2/a.zip", "minilm2/v1/a.zip"]),
        ("@plain/minilm/", ["minilm/v1/a.zip", "minilm/v2/a.zip"]),
        ("@plain/minilm", ["minilm/v1/a.zip", "minilm/v2/a.zip", "minilm2/v1/a.zip"]),
        ("@plain/minilm/v1/a.zip", ["minilm/v1/a.zip"]),
        ("@plain/none", []),
        ("@plain pattern = '.*v1/.*[.]zip'", ["minilm/v1/a.zip", "minilm2/v1/a.zip"]),
        ("@plain/minilm/ pattern = '.*v2.*'", ["minilm/v2/a.zip"]),
        ("@plain pattern = 'v1'", []),
    ],
)
@pytest.mark.parametrize("command", ["list", "ls"])
def test_list_takes_a_prefix_and_a_pattern(
    filled: Sql, command: str, place: str, files: list[str]
) -> None:
    assert [row[0] for row in filled(f"{command} {place}")] == [f"plain/{file}" for file in files]


@pytest.mark.parametrize("command", ["remove", "rm"])
def test_remove_takes_a_file_or_a_prefix(filled: Sql, command: str) -> None:
    assert filled(f"{command} @plain/minilm/v1/a.zip") == [("plain/minilm/v1/a.zip", "removed")]
    assert filled(f"{command} @plain/minilm/") == [("plain/minilm/v2/a.zip", "removed")]
    assert filled(f"{command} @plain/minilm/") == []
    assert [row[0] for row in filled("list @plain")] == ["plain/minilm2/v1/a.zip"]


# Faults


@pytest.fixture
def own_server() -> Iterator[LocalSnowflake]:
    with serve() as server:
        yield server


def ask(server: LocalSnowflake, path: str, *, method: str = "GET", **data: object) -> bytes:
    body = json.dumps(data).encode() if data else None
    url = f"http://127.0.0.1:{server.port}/local/{path}"
    with urlopen(Request(url, data=body, method=method)) as answer:
        return answer.read()


def test_an_upload_that_breaks_leaves_a_short_file(
    own_server: LocalSnowflake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    put = f"put 'file://{make(tmp_path, 'a.zip', b'x' * 1000)}' @sealed auto_compress = false"
    with own_server.connect(database="demo") as connection:
        run(connection, "create stage sealed")
        ask(own_server, "faults", method="POST", name="put_breaks_halfway", times=2)
        for _ in range(2):
            with pytest.raises(OperationalError, match="While putting file") as caught:
                run(connection, f"{put} overwrite = true")
            assert caught.value.errno == 253003
            assert run(connection, "list @sealed")[0][1] == 504
        assert run(connection, put)[0][6] == "SKIPPED"
        assert run(connection, f"{put} overwrite = true")[0][6] == "UPLOADED"
        assert run(connection, "list @sealed")[0][1] == 1008
    assert [put["bytes"] for put in json.loads(ask(own_server, "counters"))["puts"]] == [
        504,
        504,
        1008,
    ]


def test_a_fault_can_last_and_be_cleared(
    own_server: LocalSnowflake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    put = f"put 'file://{make(tmp_path, 'a.zip')}' @stage overwrite = true"
    with own_server.connect(database="demo") as connection:
        run(connection, "create stage stage")
        ask(own_server, "faults", method="POST", name="put_breaks_halfway", times=None)
        for _ in range(3):
            with pytest.raises(OperationalError):
                run(connection, put)
        ask(own_server, "faults", method="DELETE")
        assert run(connection, put)[0][6] == "UPLOADED"


@pytest.mark.parametrize(
    "fault", [{"name": "nonsense"}, {"name": "put_breaks_halfway", "times": 0}]
)
def test_an_unknown_fault_is_refused(own_server: LocalSnowflake, fault: dict[str, object]) -> None:
    with pytest.raises(HTTPError, match="400"):
        ask(own_server, "faults", method="POST", **fault)
