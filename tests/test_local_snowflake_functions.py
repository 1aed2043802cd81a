"""Python functions on the local Snowflake: what it accepts, what it rejects, and how it runs them.

Each rule's page is linked where the rule is built, in tests/local_snowflake/.
"""

from __future__ import annotations

import json
import os
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from makers import Artifact, write_artifact
from snowflake.connector.errors import DatabaseError
from snowflake_projects import LocalSnowflake, serve

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from tf_embeddings_udf import Embedder

pytestmark = pytest.mark.exhaustive

ANACONDA = "snowflake.snowpark.anaconda_shared_repository"
PYPI = "snowflake.snowpark.pypi_shared_repository"

HEADER = """
create function if not exists {name}
returns {returns}
language python
{options}
runtime_version = '3.11'
{properties}
handler = 'handler'
as $$
{body}
$$
"""

VECTORIZED = """
handler._sf_vectorized_input = pandas.DataFrame
handler._sf_max_batch_size = {most}
"""


@dataclass(frozen=True)
class Database:
    """A database of one test, with the schema `public`."""

    server: LocalSnowflake
    name: str
    session: SnowflakeConnection

    def execute(self, sql: str, role: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as accountadmin, or as another role."""
        if role is not None:
            return self.server.execute(sql, database=self.name, schema="public", role=role)
        return [tuple(row) for row in self.session.cursor().execute(sql).fetchall()]  # pyright: ignore

    def value(self, sql: str) -> Any:  # noqa: ANN401
        return self.execute(sql)[0][0]

    def create(
        self,
        body: str,
        *,
        name: str = "f(x varchar)",
        returns: str = "varchar",
        options: str = "",
        properties: str = "",
    ) -> None:
        """Create a scalar function, whose handler is `handler`."""
        self.execute(
            HEADER.format(
                name=name, returns=returns, options=options, properties=properties, body=body
            )
        )

    def create_vectorized(self, body: str, *, most: int = 100, **keys: str) -> None:
        """Create a function whose handler takes frames."""
        code = f"import pandas\n{body}\n{VECTORIZED.format(most=most)}"
        self.create(code, properties="packages = ('pandas')", **keys)

    def fails(self, sql: str, role: str | None = None) -> DatabaseError:
        """Return the error that a statement fails with."""
        with pytest.raises(DatabaseError) as caught:
            self.execute(sql, role)
        return caught.value

    def stage(self, path: Path, folder: str) -> None:
        """Put a file on the stage `s`."""
        self.execute("create stage if not exists s encryption = (type = 'SNOWFLAKE_SSE')")
        self.execute(f"put 'file://{path}' '@s/{folder}' auto_compress = false overwrite = true")


@pytest.fixture
def database(local_snowflake: LocalSnowflake) -> Iterator[Database]:
    with _database(local_snowflake) as database:
        yield database


@contextmanager
def _database(server: LocalSnowflake) -> Iterator[Database]:
    name = server.new_database()
    with server.connect(database=name, schema="public") as session:
        yield Database(server, name, session)


def _rows(count: int) -> str:
    return f"(select cast(seq4() as varchar) as x from table(generator(rowcount => {count})))"


# CREATE FUNCTION: the text.

FULL = """
create or replace function "F n"(x varchar(100), n number(10, 2))
copy grants
returns object not null
language python
returns null on null input
immutable
runtime_version = 3.11
comment = 'it''s'
imports = ()
artifact_repository = snowflake.snowpark.pypi_shared_repository
packages = ('numpy', 'pandas')
handler = 'handler'
as 'def handler(x, n):
  return {\\'x\\': x + ''!''}';
"""


def test_every_clause_in_its_order_is_accepted(database: Database) -> None:
    assert database.execute(FULL) == [('Function "F n" successfully created.',)]
    assert json.loads(database.value("select \"F n\"('a', 1)")) == {"x": "a!"}


def test_properties_may_change_places(database: Database) -> None:
    database.execute(
        "create function f() returns int language python handler = 'h' packages = ()"
        " runtime_version = '3.12' comment = 'last' as $$\ndef h(): return 7\n$$"
    )
    assert database.value("select f()") == 7


PLAIN = (
    "create function f(x varchar) returns varchar language python strict immutable"
    " runtime_version = '3.11' handler = 'h' as $$def h(x): return x$$"
)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (PLAIN.replace("runtime_version", "runtime_versions"), "unexpected 'runtime_versions'"),
        (PLAIN.replace("handler =", "handler"), "unexpected ''h''"),
        (PLAIN.replace("strict immutable", "immutable strict"), "unexpected 'strict'"),
        (
            PLAIN.replace("immutable ", "").replace("handler", "immutable handler"),
            "unexpected 'immutable'",
        ),
        (PLAIN.replace("immutable", "memoizable"), "unexpected 'memoizable'"),
        (PLAIN.replace("immutable", "immutable volatile"), "unexpected 'volatile'"),
        (PLAIN.replace("returns varchar language", "language"), "unexpected 'language'"),
        (PLAIN.replace("handler = 'h'", "handler = 'h' handler = 'h'"), "property 'HANDLER'"),
        (PLAIN.replace("handler = 'h'", ""), "[HANDLER]"),
        (PLAIN.replace("runtime_version = '3.11'", ""), "[RUNTIME_VERSION]"),
        (PLAIN.replace("return x$$", "return '$$'$$"), "unexpected"),
        (PLAIN + " handler = 'h'", "unexpected 'handler'"),
        (PLAIN.replace("'3.11'", "'3.8'"), "decommissioned"),
        (PLAIN.replace("'3.11'", "'3.9'"), "decommissioned"),
        (PLAIN.replace("'3.11'", "'3.15'"), "Unsupported Python runtime version '3.15'"),
        (PLAIN.replace("returns varchar", "returns text_like"), "data type 'TEXT_LIKE'"),
        (PLAIN.replace("x varchar", "x varchar, x varchar"), "duplicate argument name 'X'"),
        (PLAIN.replace("varchar l", "varchar null not null l"), "unexpected 'not'"),
        (
            PLAIN.replace("handler =", "artifact_repository = 'a.b.c' handler ="),
            "unexpected ''a.b.c''",
        ),
        (
            PLAIN.replace("create", "create or replace").replace("f(", "if not exists f("),
            "options IF NOT EXISTS and OR REPLACE are incompatible",
        ),
    ],
)
def test_what_the_syntax_does_not_have_is_rejected(
    database: Database, wrong: str, says: str
) -> None:
    database.execute(PLAIN.replace(" f(", " control("))
    error = database.fails(wrong)
    assert says in (error.msg or "")


def test_a_decommissioned_runtime_has_its_number(database: Database) -> None:
    assert database.fails(PLAIN.replace("'3.11'", "'3.9'")).errno == 391569


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_todays_runtimes_are_accepted(database: Database, version: str) -> None:
    database.execute(PLAIN.replace("3.11", version))


def test_runtime_314_has_packages_from_pypi_alone(database: Database) -> None:
    wanted = PLAIN.replace("3.11", "3.14").replace(
        "handler =", f"artifact_repository = {ANACONDA} handler ="
    )
    assert "pypi_shared_repository only" in (database.fails(wanted).msg or "")


def test_code_may_have_one_megabyte(database: Database) -> None:
    def code(size: int) -> str:
        return f"create or replace {PLAIN.removeprefix('create ')}".replace(
            "$$def h(x): return x$$", "$$" + "def h(x): return x #".ljust(size, "#") + "$$"
        )

    database.execute(code(1024 * 1024))
    assert "1 MB" in (database.fails(code(1024 * 1024 + 1)).msg or "")


def test_a_name_that_is_taken(database: Database) -> None:
    assert database.execute(PLAIN) == [("Function F successfully created.",)]
    once_more = PLAIN.replace("function f", "function if not exists f")
    assert database.execute(once_more) == [("F already exists, statement succeeded.",)]
    assert database.fails(PLAIN).errno == 2002
    replaced = PLAIN.replace("create", "create or replace").replace("return x", "return x + '!'")
    database.execute(replaced)
    assert database.value("select f('a')") == "a!"


def test_if_not_exists_leaves_the_function_as_it_was(database: Database) -> None:
    database.create("def handler(x): return 'first'")
    database.create("def handler(x): return 'second'")
    assert database.value("select f('a')") == "first"


# Packages.


def test_packages_at_the_versions_that_are_there(database: Database) -> None:
    database.create(
        "import numpy\ndef handler(x): return numpy.__version__",
        properties=f"artifact_repository = {ANACONDA} packages = ('numpy==1.26.4')",
    )
    assert database.value("select f('')") == "1.26.4"


@pytest.mark.parametrize("repository", [ANACONDA, PYPI])
def test_a_package_that_no_one_knows(database: Database, repository: str) -> None:
    error = database.fails(
        PLAIN.replace(
            "handler =", f"artifact_repository = {repository} packages = ('nope') handler ="
        )
    )
    assert "Package 'nope' is not supported." in (error.msg or "")


@pytest.mark.parametrize("wanted", ["numpy", "numpy>=1,<99", "numpy>=1, <99", "numpy!=0.1"])
@pytest.mark.parametrize("repository", [ANACONDA, PYPI])
def test_a_range_of_versions(database: Database, repository: str, wanted: str) -> None:
    # https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages bounds pandas so.
    database.create(
        "import numpy\ndef handler(x): return numpy.__version__",
        properties=f"artifact_repository = {repository} packages = ('{wanted}')",
    )
    [(installed,)] = [
        (value,)
        for name, value in database.execute("describe function f(varchar)")
        if name == "installed_packages"
    ]
    assert f"'numpy=={database.value('select f(null)')}'" in installed


def test_a_function_may_ask_for_an_architecture(database: Database) -> None:
    # https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
    asked = PLAIN.replace("handler =", "resource_constraint=(architecture='{0}') handler =")
    database.execute(asked.format("x86"))
    assert database.value("select f('runs')") == "runs"
    assert "unexpected ''mips''" in (database.fails(asked.format("mips")).msg or "")


WRONG_VERSIONS = ["numpy==0.0.1", "numpy<1", "numpy>=99", "numpy=1", "numpy[all]", "numpy', 'numpy"]


@pytest.mark.parametrize("wanted", WRONG_VERSIONS)
@pytest.mark.parametrize("repository", [ANACONDA, PYPI])
def test_a_version_that_is_not_there(database: Database, repository: str, wanted: str) -> None:
    error = database.fails(
        PLAIN.replace(
            "handler =", f"artifact_repository = {repository} packages = ('{wanted}') handler ="
        )
    )
    assert error.errno == 100357
    assert "Cannot create a Python function with the specified packages" in (error.msg or "")


def test_a_repository_that_is_not_there(database: Database) -> None:
    error = database.fails(PLAIN.replace("handler =", "artifact_repository = a.b.c handler ="))
    assert "Object 'a.b.c' does not exist or not authorized." in (error.msg or "")


def test_a_package_that_is_installed_but_not_listed_is_not_found(database: Database) -> None:
    body = "def handler(x):\n    import numpy\n    return 'found'"
    database.create(body, name="with_it(x varchar)", properties="packages = ('pandas')")
    database.create(body, name="without_it(x varchar)")
    assert database.value("select with_it('')") == "found"
    error = database.fails("select without_it('')")
    assert "ModuleNotFoundError: No module named 'numpy'" in (error.msg or "")


LITERT = (
    "'ai-edge-litert==2.3.0', 'backports-strenum==1.2.8', 'flatbuffers==25.12.19', "
    "'ml-dtypes==0.6.0', 'numpy==2.4.6', 'protobuf==6.33.6', 'tqdm==4.70.1', "
    "'typing-extensions==4.16.0'"
)


def _import_litert(repository: str, packages: str) -> str:
    body = """
def handler(x):
    from ai_edge_litert.interpreter import Interpreter
    return Interpreter.__name__
"""
    properties = f"artifact_repository = {repository} packages = ({packages})"
    return HEADER.format(
        name="f(x varchar)", returns="varchar", options="", properties=properties, body=body
    )


@pytest.mark.parametrize("packages", [LITERT, "'ai-edge-litert'", "'AI_Edge.LiteRT==2.3.0'"])
def test_litert_loads_with_pypis_packages(database: Database, packages: str) -> None:
    """Whether what it needs is named or not: see `open_points.sql`."""
    database.execute(_import_litert(PYPI, packages))
    assert database.value("select f('')") == "Interpreter"


def test_another_version_of_litert_is_not_there(database: Database) -> None:
    error = database.fails(_import_litert(PYPI, LITERT.replace("litert==2.3.0", "litert==0.0.1")))
    assert error.errno == 100357
    assert "Packages not found: ai-edge-litert==0.0.1" in (error.msg or "")


@pytest.mark.usefixtures("anaconda_python")
def test_litert_is_not_anacondas(database: Database) -> None:
    error = database.fails(_import_litert(ANACONDA, LITERT))
    assert "Package 'ai-edge-litert' is not supported." in (error.msg or "")


def test_litert_is_not_found_where_its_package_is_not_listed(database: Database) -> None:
    database.execute(_import_litert(PYPI, "'numpy', 'tensorflow', 'tokenizers'"))
    error = database.fails("select f('')")
    assert "ModuleNotFoundError: No module named 'ai_edge_litert'" in (error.msg or "")


def test_information_schema_lists_the_anaconda_channel(database: Database) -> None:
    rows = database.execute(
        "select p.version from information_schema.packages p where p.package_name = 'tensorflow'"
        " and p.language = 'python' and p.runtime_version = '3.11'"
    )
    assert rows == [("2.17.0",)]
    assert not database.execute(
        "select 1 from information_schema.packages where package_name = 'ai-edge-litert'"
    )


# Imports.


def _zip(path: Path, **files: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.py", content)
    return path


def test_a_staged_zip_is_on_the_path_and_in_the_import_directory(
    database: Database, tmp_path: Path
) -> None:
    database.stage(_zip(tmp_path / "lib-1.zip", lib="ANSWER = 'from the zip'"), "a/")
    database.create(
        "import os, sys, lib\ndef handler(x):\n"
        "    folder = sys._xoptions['snowflake_import_directory']\n"
        "    return f'{lib.ANSWER} {os.listdir(folder)} {folder[-1]} '"
        "        f'{os.path.getsize(folder + \"lib-1.zip\") > 0}'",
        properties="imports = ('@s/a/lib-1.zip')",
    )
    assert database.value("select f('')") == "from the zip ['lib-1.zip'] / True"


def test_a_handler_may_lie_in_an_import(database: Database, tmp_path: Path) -> None:
    database.stage(_zip(tmp_path / "lib.zip", lib="def go(x): return x + '!'"), "a")
    database.execute(
        "create function f(x varchar) returns varchar language python runtime_version = '3.11'"
        " imports = ('@s/a/lib.zip') handler = 'lib.go'"
    )
    assert database.value("select f('a')") == "a!"
    error = database.fails(
        "create function g(x varchar) returns varchar language python runtime_version = '3.11'"
        " handler = 'go'"
    )
    assert "without AS" in (error.msg or "")


@pytest.mark.parametrize(
    ("imports", "says"),
    [
        ("'@s/a/missing.zip'", "Remote file '@s/a/missing.zip' was not found"),
        ("'@s/A/lib.zip'", "Remote file '@s/A/lib.zip' was not found"),
        ("'@s/a/lib.zip', '@s/b/lib.zip'", "two files of the name 'lib.zip'"),
        ("'s/a/lib.zip'", "invalid stage location"),
        ("'@nope/a/lib.zip'", "does not exist or not authorized"),
    ],
)
def test_imports_that_are_wrong(
    database: Database, tmp_path: Path, imports: str, says: str
) -> None:
    for folder in ("a", "b"):
        database.stage(_zip(tmp_path / "lib.zip", lib=""), folder)
    error = database.fails(PLAIN.replace("handler =", f"imports = ({imports}) handler ="))
    assert says in (error.msg or "")


def test_imports_are_looked_up_when_the_function_is_called(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "lib.zip"
    database.stage(_zip(path, lib="ANSWER = 'old'"), "a")
    database.create(
        "import lib\ndef handler(x): return lib.ANSWER", properties="imports = ('@s/a/lib.zip')"
    )
    assert database.value("select f('')") == "old"
    database.stage(_zip(path, lib="ANSWER = 'new'"), "a")
    assert database.value("select f('')") == "new"
    database.execute("remove @s/a/lib.zip")
    error = database.fails("select f('')")
    assert "Remote file '@s/a/lib.zip' was not found" in (error.msg or "")


# Calls.


def test_a_function_is_called_wherever_an_expression_may_stand(database: Database) -> None:
    database.create("def handler(x): return x + '!'")
    database.create("def handler(): return 3", name='"Three"()', returns="number")
    where = f"{database.name}.public"
    database.execute(f"create table t as select {where}.f(x) as y from (select 'a' as x)")
    database.execute("create view v as with c as (select f(y) as z from t) select * from c")
    assert database.execute(f'select f(z), {where}."Three"(), public.f(z) from v') == [
        ("a!!!", 3, "a!!!")
    ]
    assert database.execute("select 1 from t where f(y) = 'a!!'") == [(1,)]
    assert database.execute('select "Three"() from t union all select "Three"()') == [(3,), (3,)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("{db}.public.nope('a')", "Unknown function {DB}.PUBLIC.NOPE."),
        ("nope('a')", "Unknown function NOPE."),
        ("\"f\"('a')", "Unknown function"),
        ("f(1)", "Invalid argument types for function '{DB}.PUBLIC.F': (NUMBER)"),
        ("f('a', 'b')", "Invalid argument types for function '{DB}.PUBLIC.F': (VARCHAR, VARCHAR)"),
        ("f()", "Invalid argument types for function '{DB}.PUBLIC.F': ()"),
    ],
)
def test_a_call_of_what_is_not_there(database: Database, call: str, says: str) -> None:
    database.create("def handler(x): return x")
    error = database.fails("select " + call.format(db=database.name))
    assert says.format(DB=database.name.upper()) in (error.msg or "")


def test_a_view_runs_what_its_function_is_now(database: Database) -> None:
    database.execute(PLAIN)
    database.execute("create view v as select f('a') as x")
    database.execute(PLAIN.replace("create", "create or replace").replace("x$$", "x * 2$$"))
    assert database.value("select x from v") == "aa"
    database.execute("drop function f(varchar)")
    assert "Unknown function" in (database.fails("select x from v").msg or "")


# Execution.


def test_batches_vary_and_never_exceed_the_maximum(database: Database) -> None:
    database.create_vectorized("def handler(df): return [len(df)] * len(df)", most=7, returns="int")
    sizes = {size for (size,) in database.execute(f"select f(x) from {_rows(100)}")}
    assert max(sizes) == 7
    assert len(sizes) > 2


def test_a_frame_has_columns_by_position_and_pandas_strings(database: Database) -> None:
    database.create_vectorized(
        "def handler(df):\n    return [f'{list(df.columns)} {df[0].dtype} {value is pandas.NA}'"
        " for value in df[0]]"
    )
    assert database.execute("select f(x) from (select 'a' as x union all select null)") == [
        ("[0] string False",),
        ("[0] string True",),
    ]


def test_texts_and_booleans_may_arrive_as_objects(database: Database) -> None:
    # tests/integ/test_udf.py of github.com/snowflakedb/snowpark-python takes either dtype.
    body = (
        "def handler(df):\n    return [f'{df[0].dtype} {df[1].dtype} {text!r} {flag}'"
        " for text, flag in zip(df[0], df[1])]"
    )
    database.create_vectorized(body, name="f(x varchar, y boolean)")
    call = "select f(column1, column2) from values ('a', true), (null, null)"
    assert database.execute(call) == [("string boolean 'a' True",), ("string boolean <NA> <NA>",)]
    with database.server.fault("object_dtypes"):
        assert database.execute(call) == [("object object 'a' True",), ("object object None None",)]


def test_results_come_back_to_their_rows(database: Database) -> None:
    database.create_vectorized("def handler(df): return df[0] + '!'", most=16)
    rows = database.execute(f"select x, f(x) from {_rows(3000)}")
    assert len(rows) == 3000
    assert all(result == f"{x}!" for x, result in rows)


def test_the_decorator_of_snowflakes_module(database: Database) -> None:
    database.create(
        "import pandas\nfrom _snowflake import vectorized\n"
        "@vectorized(input=pandas.DataFrame, max_batch_size=2)\n"
        "def handler(df): return [type(df).__name__] * len(df)",
        properties="packages = ('pandas')",
    )
    assert database.value("select f('a')") == "DataFrame"


def test_several_processes_share_one_tmp_that_ends_with_the_query(database: Database) -> None:
    body = (
        "import os\ndef handler(df):\n"
        "    open(f'/tmp/{os.getpid()}', 'w').close()\n"
        "    return [','.join(sorted(os.listdir('/tmp')))] * len(df)"
    )
    database.create_vectorized(body, most=10)
    database.create_vectorized(body, most=10, name="g(x varchar)")
    seen = database.execute(f"select f(x), g(x) from {_rows(200)}")
    assert len({name for row in seen for cell in row for name in cell.split(",")}) == 4
    assert "," not in database.value("select f('a')")


def test_rows_that_reach_a_function_are_counted(database: Database) -> None:
    body = "def handler(x): return 1 / int(x)"
    database.create(body, returns="float", options="strict")
    name = f"{database.name.upper()}.PUBLIC.F"
    assert name not in database.server.counters()["rows"]

    database.execute("create table t as select f(column1) as x from values ('1'), ('2'), (null)")
    assert database.server.counters()["rows"][name] == 2

    database.fails("create table u as select f(column1) as x from values ('1'), ('0')")
    assert database.server.counters()["rows"][name] == 4

    database.execute("create view v as select f(column1) as x from values ('5')")
    assert database.server.counters()["rows"][name] == 4


def test_strict_skips_rows_with_null(database: Database) -> None:
    body = "def handler(x): return 'called'"
    database.create(body, name="strict_one(x varchar)", options="strict")
    database.create(body, name="called(x varchar)", options="called on null input")
    assert database.execute("select strict_one(null), called(null)") == [(None, "called")]


def test_nothing_is_writable_but_tmp(database: Database) -> None:
    database.create(
        "def handler(x):\n"
        "    try:\n        open(x, 'w').close()\n        return 'written'\n"
        "    except OSError as error:\n        return error.strerror"
    )
    places = [Path("/var/tmp"), Path("/dev/shm"), Path(__file__).parent, Path.home()]
    for place in places:
        if not place.is_relative_to("/tmp"):  # a clone may lie there, and is not to be seen
            assert database.value(f"select f('{place}/nothing')") == "Read-only file system"
    assert database.value("select f('/tmp/something')") == "written"
    assert not Path("/tmp/something").exists()


def test_the_import_directory_is_read_only(database: Database, tmp_path: Path) -> None:
    database.stage(_zip(tmp_path / "lib.zip", lib=""), "a")
    database.create(
        "import os, sys\ndef handler(x):\n    try:\n"
        "        os.remove(sys._xoptions['snowflake_import_directory'] + 'lib.zip')\n"
        "    except OSError as error:\n        return error.strerror",
        properties="imports = ('@s/a/lib.zip')",
    )
    assert database.value("select f('')") == "Read-only file system"


def test_there_is_no_network(database: Database) -> None:
    database.create(
        "import socket\ndef handler(x):\n"
        "    try:\n        socket.create_connection(('127.0.0.1', int(x)))\n"
        "    except OSError as error:\n        return error.strerror"
    )
    assert database.value(f"select f('{database.server.port}')") == "Network is unreachable"


def test_the_environment_holds_nothing_of_the_servers(database: Database) -> None:
    database.create("import os\ndef handler(x): return ' '.join(sorted(os.environ))")
    assert database.value("select f('')") == "HOME LANG PATH TMPDIR"


# Results.

CHECKED = [
    ("object", "{'a': [1.5, None, {'b': 'c'}]}", '{"a":[1.5,null,{"b":"c"}]}'),
    ("array", "[1.5, 2]", "[1.5,2]"),
    ("variant", "'x'", '"x"'),
    ("float", "1", 1.0),
    ("float", "numpy.float32(0.5)", 0.5),
    ("number(10, 2)", "1.25", "not float"),
    ("int", "numpy.int64(3)", 3),
    ("boolean", "True", True),
    ("varchar", "None", None),
    ("object", "None", None),
]


@pytest.mark.parametrize(("returns", "value", "expected"), CHECKED)
def test_values_of_the_declared_type_are_accepted(
    database: Database, returns: str, value: str, expected: object
) -> None:
    if expected == "not float":
        value, expected = "__import__('decimal').Decimal('1.25')", 1.25
    database.create(
        f"import numpy\ndef handler(x): return {value}",
        returns=returns,
        properties="packages = ('numpy')",
    )
    found = database.value("select f('')")
    if returns in {"object", "array", "variant"} and found is not None:
        found = json.dumps(json.loads(found), separators=(",", ":"))
    assert found == expected


@pytest.mark.parametrize(
    ("returns", "value", "says"),
    [
        ("object", "{'a': numpy.float32(1)}", "Object of type numpy.float32 is not JSON"),
        ("object", "{'a': numpy.float64(1)}", "Object of type numpy.float64 is not JSON"),
        ("object", "{'a': numpy.zeros(2)}", "Object of type numpy.ndarray is not JSON"),
        ("object", "{'a': float('nan')}", "not JSON compliant: nan"),
        ("object", "{1: 2}", "keys must be str, not int"),
        ("object", "[1]", "returns a dict or None, not list"),
        ("array", "numpy.zeros(2)", "returns a list or None, not numpy.ndarray"),
        ("array", "(1, 2)", "returns a list or None, not tuple"),
        ("varchar", "b'x'", "VARCHAR returned bytes"),
        ("float", "'1'", "FLOAT returned str"),
        ("int", "1.5", "NUMBER returned float"),
        ("boolean", "1", "BOOLEAN returned int"),
    ],
)
@pytest.mark.parametrize("is_vectorized", [False, True])
def test_values_of_other_types_are_refused(
    database: Database, returns: str, value: str, says: str, is_vectorized: bool
) -> None:
    if is_vectorized:
        body = f"import numpy\ndef handler(df): return [{value}] * len(df)"
        database.create_vectorized(body, returns=returns)
    else:
        body = f"import numpy\ndef handler(x): return {value}"
        database.create(body, returns=returns, properties="packages = ('numpy')")
    error = database.fails("select f('')")
    assert error.errno == 100357
    assert says in (error.msg or "")


@pytest.mark.parametrize("result", ["[]", "list(df[0]) + ['more']", "None", "'text'"])
def test_a_batch_of_another_length_is_refused(database: Database, result: str) -> None:
    database.create_vectorized(f"def handler(df): return {result}")
    message = database.fails("select f('a')").msg or ""
    assert "The vectorized handler returned" in message or "returns a Series" in message


def test_null_where_the_function_says_not_null(database: Database) -> None:
    database.create("def handler(x): return x", returns="varchar not null")
    assert database.value("select f('a')") == "a"
    assert "non-nullable" in (database.fails("select f(null)").msg or "")


# Failures.


def test_an_exception_of_the_handler(database: Database) -> None:
    database.create("def handler(x):\n    return x / 0")
    error = database.fails("select f('a')")
    assert (error.errno, error.sqlstate) == (100357, "P0000")
    assert error.msg == (
        "100357 (P0000): Python Interpreter Error:\n"
        "Traceback (most recent call last):\n"
        '  File "_udf_code.py", line 3, in handler\n'
        "    return x / 0\n"
        "           ~~^~~\n"
        "TypeError: unsupported operand type(s) for /: 'str' and 'int'\n"
        " in function F with handler handler"
    )
    assert database.value("select 1") == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def other(x): return x", "module '_udf_code' has no attribute 'handler'"),
        ("def handler(x: return x", "SyntaxError"),
        ("import nowhere_at_all\ndef handler(x): return x", "No module named 'nowhere_at_all'"),
        # Installed, but not in PACKAGES.
        ("import pandas\ndef handler(x): return x", "No module named 'pandas'"),
        ("handler = 1", "the handler 'handler' is a int, no function"),
        ("open('/etc/hostname', 'w')\ndef handler(x): return x", "Read-only file system"),
        ("import os\nos._exit(3)", "The process that loaded the handler ended with 3."),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_refused(
    database: Database, body: str, message: str
) -> None:
    # https://docs.snowflake.com/en/sql-reference/sql/create-function: the handler is validated.
    sql = HEADER.format(
        name="f(x varchar)", returns="varchar", options="", properties="", body=body
    )
    error = database.fails(sql)
    assert (error.errno, error.sqlstate) == (100357, "P0000")
    assert message in (error.msg or "")
    assert (error.msg or "").endswith(" in function F with handler handler")
    assert database.execute("show user functions") == []


def test_a_handler_in_an_import_is_checked_too(database: Database, tmp_path: Path) -> None:
    for name, code in {"good": "def go(x): return x", "bad": "def gone(x): return x"}.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}.py", code)
        database.stage(tmp_path / f"{name}.zip", "a")
        sql = (
            "create or replace function f(x varchar) returns varchar language python"
            f" runtime_version = '3.11' imports = ('@s/a/{name}.zip') handler = '{name}.go'"
        )
        if name == "good":
            database.execute(sql)
        else:
            assert "module 'bad' has no attribute 'go'" in (database.fails(sql).msg or "")
    assert database.value("select f('still the good one')") == "still the good one"


def test_what_could_be_loaded_once_is_not_loaded_again(database: Database) -> None:
    def checks() -> int:
        return database.server.counters().get("handlers_checked", 0)

    before = checks()
    for name in ("f(x varchar)", "g(x varchar)", "f()"):
        database.create("def handler(x=None): return 'loaded once'", name=name)
    assert checks() == before + 1
    database.create_vectorized("def handler(df): return df[0]", name="h(x varchar)")
    assert checks() == before + 2
    assert database.value("select f()") == "loaded once"


def test_a_worker_that_dies_fails_the_query_and_not_the_server(database: Database) -> None:
    database.create("import os, signal\ndef handler(x): os.kill(os.getpid(), signal.SIGKILL)")
    error = database.fails("select f('a')")
    assert "Function available memory exhausted." in (error.msg or "")
    assert database.value("select 1") == 1


def test_a_failed_query_leaves_no_process(database: Database) -> None:
    database.create("import os\ndef handler(x): raise ValueError(os.getpid())")
    error = database.fails("select f('a')")
    process = int((error.msg or "").partition("ValueError: ")[2].split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@contextmanager
def _own_server(**environment: str) -> Iterator[Database]:
    """Start a server that differs from the one of all tests."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            server = stack.enter_context(serve())
        yield stack.enter_context(_database(server))


@pytest.fixture(scope="module")
def own_server() -> Iterator[Database]:
    """A server of this file's own, with eight workers."""
    with _own_server(LOCAL_SNOWFLAKE_WORKERS="8") as database:
        yield database


def test_a_batch_that_takes_too_long() -> None:
    with _own_server(LOCAL_SNOWFLAKE_BATCH_SECONDS="1") as database:
        database.create("def handler(x):\n    while True: pass", name="endless(x varchar)")
        error = database.fails("select endless('a')")
        assert error.errno == 100357
        assert "timed out" in (error.msg or "")
        assert database.value("select 1") == 1


# Shown, described, dropped.


def test_show_functions(database: Database) -> None:
    database.create("def handler(x): pass", returns="object", options="immutable")
    database.create("def handler(): pass", name="other()", properties="comment = 'said'")
    rows = database.execute("show user functions in schema public")
    assert [(row[1], row[2], row[8], row[9], row[10]) for row in rows] == [
        (
            "F",
            "PUBLIC",
            "F(VARCHAR) RETURN OBJECT",
            "user-defined function",
            database.name.upper(),
        ),
        ("OTHER", "PUBLIC", "OTHER() RETURN VARCHAR", "said", database.name.upper()),
    ]
    assert [row[1] for row in database.execute("show functions like 'oth%'")] == ["OTHER"]
    assert database.execute("show user functions like 'nope%' in account") == []


def test_describe_function(database: Database, tmp_path: Path) -> None:
    database.stage(_zip(tmp_path / "lib.zip", lib=""), "a")
    database.create(
        "def handler(x): pass",
        returns="object",
        options="strict immutable",
        properties=f"imports = ('@s/a/lib.zip') artifact_repository = {ANACONDA}"
        " packages = ('numpy==1.26.4')",
    )
    assert dict(database.execute("describe function f(varchar)")) == {
        "signature": "(X VARCHAR)",
        "returns": "OBJECT",
        "language": "PYTHON",
        "null handling": "RETURNS NULL ON NULL INPUT",
        "volatility": "IMMUTABLE",
        "body": "\ndef handler(x): pass\n",
        "imports": "[@s/a/lib.zip]",
        "handler": "handler",
        "runtime_version": "3.11",
        "packages": "['numpy==1.26.4']",
        "installed_packages": "['numpy==1.26.4']",
        "artifact_repository": ANACONDA.upper(),
        "is_aggregate": "false",
    }
    assert "does not exist" in (database.fails("desc function f()").msg or "")


def test_drop_function_and_comment(database: Database) -> None:
    database.create("def handler(x): pass")
    database.execute("comment on function f(string) is 'new'")
    assert database.execute("show user functions")[0][9] == "new"
    assert "does not exist" in (database.fails("drop function f()").msg or "")
    assert database.execute("drop function f(varchar)") == [("F successfully dropped.",)]
    assert "does not exist" in (database.fails("drop function f(varchar)").msg or "")
    database.execute("drop function if exists f(varchar)")
    assert database.execute("show user functions") == []


def test_the_functions_of_a_dropped_schema_are_gone(database: Database) -> None:
    database.execute("create schema other")
    database.create("def handler(x): pass", name="other.f(x varchar)")
    database.execute("drop schema other")
    database.execute("create schema other")
    assert "Unknown function" in (database.fails("select other.f('a')").msg or "")


# Privileges.


def _role(database: Database, *grants: str) -> str:
    """Make a role that may use the database and its schema, and what `grants` say."""
    role = f"role_{database.name}"
    database.execute(f"create role {role}")
    database.execute(f"grant role {role} to user tester")
    for grant in ("usage on schema public", *grants):
        database.execute(f"grant {grant} to role {role}")
    return role


def test_a_caller_needs_usage_of_function_schema_and_database(database: Database) -> None:
    database.create("def handler(x): return x")
    on_database = f"usage on database {database.name}"
    role = _role(database, on_database, "usage on function f(varchar)")
    call = f"select {database.name}.public.f('a')"
    assert database.server.execute(call, role=role) == [("a",)]
    for what in ("function f(varchar)", "schema public", f"database {database.name}"):
        database.execute(f"revoke usage on {what} from role {role}")
        with pytest.raises(DatabaseError, match=r"not authorized|Insufficient privileges"):
            database.server.execute(call, role=role)
        database.execute(f"grant usage on {what} to role {role}")


def test_a_view_runs_functions_for_those_who_may_not(database: Database) -> None:
    database.create("def handler(x): return x")
    database.execute("create view v as select f('a') as x")
    role = _role(database, f"usage on database {database.name}")
    assert database.execute("select x from v", role) == [("a",)]


def test_an_owner_needs_create_function_and_read_on_the_stage(
    database: Database, tmp_path: Path
) -> None:
    database.stage(_zip(tmp_path / "lib.zip", lib=""), "a")
    role = _role(database, f"usage on database {database.name}")
    statement = PLAIN.replace("handler =", "imports = ('@s/a/lib.zip') handler =")
    assert "Insufficient privileges" in (database.fails(statement, role).msg or "")
    database.execute(f"grant create function on schema public to role {role}")
    assert "not authorized" in (database.fails(statement, role).msg or "")
    database.execute(f"grant read on stage s to role {role}")
    database.execute(statement, role)
    assert database.execute("select f('a')", role) == [("a",)]


# Faults, on a server of their own.


def test_a_repository_role_is_needed_to_create_and_to_call(own_server: Database) -> None:
    own_server.create("def handler(x): return x", name="before(x varchar)")
    revoked = "database role snowflake.pypi_repository_user"
    own_server.execute(f"revoke {revoked} from role public")
    says = f"Object '{PYPI}' does not exist or not authorized."
    assert says in (own_server.fails(PLAIN).msg or "")
    assert says in (own_server.fails("select before('a')").msg or "")
    own_server.execute(f"grant {revoked} to role public")
    assert own_server.value("select before('a')") == "a"


def _fault(server: LocalSnowflake, name: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/local/faults",
        json.dumps({"name": name, "times": 1}).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()


def _workers_killed(server: LocalSnowflake) -> int:
    return server.counters().get("workers_killed", 0)


def test_a_package_that_is_missing_on_demand(own_server: Database) -> None:
    _fault(own_server.server, "package_missing:numpy")
    wanted = PLAIN.replace(" f(", " missing(").replace(
        "handler =", "packages = ('numpy') handler ="
    )
    assert "Package 'numpy' is not supported." in (own_server.fails(wanted).msg or "")
    own_server.execute(wanted)


def test_a_query_outlives_a_worker_that_is_killed_while_it_writes(own_server: Database) -> None:
    own_server.create_vectorized(
        "import fcntl, os, pathlib\n"
        "def handler(df):\n"
        "    with open('/tmp/one.lock', 'a') as lock:\n"
        "        fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "        before = len(os.listdir('/tmp'))\n"
        "        for part in 'abc':\n"
        "            pathlib.Path(f'/tmp/{os.getpid()}{part}').write_text(part)\n"
        "    return [str(before)] * len(df)",
        most=1,
        name="writes(x varchar)",
    )
    killed = _workers_killed(own_server.server)
    _fault(own_server.server, "worker_killed_during_extraction")
    rows = own_server.execute(f"select writes(x) from {_rows(40)}")
    # Each worker writes three files beside the lock; the one that was killed wrote the first.
    assert len(rows) == 40
    assert any(int(before) % 3 == 2 for (before,) in rows)
    assert _workers_killed(own_server.server) == killed + 1


# The package's own function.

EMBED = """
create function if not exists embed(text varchar, tokens_only boolean)
returns object
language python
strict
immutable
runtime_version = '3.11'
imports = ('@s/{file}')
artifact_repository = {repository}
packages = ({packages})
handler = 'embed'
comment = 'tf_embeddings: a test'
as $$
import os
import tempfile
import pandas
from tf_embeddings_udf.snowflake import embed_texts

tempfile.tempdir = '/tmp'  # or each process would look for it, and write a file that others see

def embed(frame):
    found = embed_texts(frame, model='{model}', version='{version}', build='{build}')
    return [one | {{'files': sorted(os.listdir('/tmp'))}} for one in found]

embed._sf_vectorized_input = pandas.DataFrame
embed._sf_max_batch_size = 16
$$
"""


ON_LITERT = f"{LITERT}, 'pandas', 'tokenizers'"
ON_TENSORFLOW = "'numpy', 'pandas', 'tensorflow', 'tokenizers'"


@pytest.fixture(scope="session")
def on_litert(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The small model with the runtime in its zip, as the CLI packs it."""
    stage = tmp_path_factory.mktemp("deployed_stage")
    return write_artifact(*litert_tokens_model, stage, with_runtime=True)


@pytest.fixture(scope="session")
def on_tensorflow(
    saved_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The same for TensorFlow."""
    stage = tmp_path_factory.mktemp("deployed_stage")
    return write_artifact(*saved_tokens_model, stage, with_runtime=True)


def _create_embed(
    database: Database, artifact: Artifact, packages: str, repository: str = PYPI
) -> None:
    database.stage(artifact.path, "")
    database.execute(
        EMBED.format(
            file=artifact.path.name,
            repository=repository,
            packages=packages,
            model=artifact.model,
            version=artifact.version,
            build=artifact.build,
        )
    )


@pytest.mark.parametrize(
    ("deployed", "packages", "repository"),
    [
        ("on_litert", ON_LITERT, PYPI),
        # Of what LiteRT needs, only NumPy is imported.
        ("on_litert", "'ai-edge-litert', 'numpy', 'pandas', 'tokenizers'", PYPI),
        ("on_tensorflow", ON_TENSORFLOW, PYPI),
        ("on_tensorflow", ON_TENSORFLOW, ANACONDA),
    ],
)
def test_a_model_runs_from_a_repository_that_has_its_engine(
    database: Database,
    request: pytest.FixtureRequest,
    tiny_embedder: Embedder,
    deployed: str,
    packages: str,
    repository: str,
) -> None:
    if repository == ANACONDA:
        request.getfixturevalue("anaconda_python")
    _create_embed(database, request.getfixturevalue(deployed), packages, repository)
    outcome = json.loads(database.value("select embed('the quick brown fox', false)"))
    expected = tiny_embedder.embed(["the quick brown fox"]).embeddings[0]
    assert outcome["status"] == "ok"
    assert outcome["embedding"] == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("deployed", "packages", "missing"),
    [
        ("on_litert", ON_TENSORFLOW, "ai-edge-litert"),
        ("on_litert", ON_LITERT.replace(", 'tokenizers'", ""), "tokenizers"),
        ("on_tensorflow", ON_LITERT, "tensorflow"),
    ],
)
def test_a_function_whose_packages_lack_what_the_model_imports(
    database: Database,
    request: pytest.FixtureRequest,
    deployed: str,
    packages: str,
    missing: str,
) -> None:
    _create_embed(database, request.getfixturevalue(deployed), packages)
    error = database.fails("select embed('the quick brown fox', false)")
    assert (
        f": the function lacks Python packages: {missing}. Correct 'packages' in the pin in var "
        "tf_embeddings_models; to write it again: "
    ) in (error.msg or "")


def test_eight_workers_race_to_unpack_and_one_is_killed(
    on_litert: Artifact, tiny_embedder: Embedder, own_server: Database
) -> None:
    killed = _workers_killed(own_server.server)
    _create_embed(own_server, on_litert, ON_LITERT)
    _fault(own_server.server, "worker_killed_during_extraction")
    rows = own_server.execute(f"select x, embed(x, false) from {_rows(200)}")
    assert _workers_killed(own_server.server) == killed + 1
    texts = [text for text, _ in rows]
    outcomes = [json.loads(outcome) for _, outcome in rows]
    expected = tiny_embedder.embed(texts).embeddings
    assert len(rows) == 200
    for outcome, vector in zip(outcomes, expected, strict=True):
        assert outcome["embedding"] == pytest.approx(vector.tolist(), abs=1e-6)
    # One folder, whatever the killed one had begun.
    assert {len(outcome["files"]) for outcome in outcomes} == {1}


# Scripting blocks


@pytest.mark.parametrize(
    ("selected", "said"),
    [
        ("'a value'", "a value"),
        ("nothing(1)", "Unknown function NOTHING."),
        ("a from no_table", "does not exist or not authorized"),
    ],
)
def test_a_block_returns_a_value_or_what_was_said(
    database: Database, selected: str, said: str
) -> None:
    block = (
        f"declare said varchar; begin select {selected} into :said; return said; "
        "exception when other then return sqlerrm; end;"
    )
    assert said in database.value(f"execute immediate $${block}$$ /* a comment of dbt's */")
    other = database.fails("execute immediate $$begin return 1; end$$")
    assert "does not support this block" in str(other)
