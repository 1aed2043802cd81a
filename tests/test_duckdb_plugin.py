from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tf_embeddings_duckdb
from dbt.adapters.duckdb.credentials import DuckDBCredentials, PluginConfig
from dbt.adapters.duckdb.environments import Environment
from makers import CORPUS, Artifact, golden_of, write_artifact
from tf_embeddings_duckdb import Plugin, register
from tf_embeddings_udf import Embedder, TfEmbeddingsError

UDF_SRC = Path(__file__).parents[1] / "udf_src"
STAGE_TINY = "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
SAME = 1e-6

OPERATIONS = {
    f"tf_embeddings_{name}" for name in ("check", "refusal", "verify", "staged", "remove")
}


def connect(stage: Path, **config: object) -> duckdb.DuckDBPyConnection:
    conn = duckdb.connect()
    plugin = Plugin("tf_embeddings_duckdb", {"stage": str(stage), **config})
    plugin.configure_connection(conn)
    return conn


def functions(conn: duckdb.DuckDBPyConnection) -> set[str]:
    rows = conn.execute(
        "select function_name from duckdb_functions() where function_name like 'tf_embeddings%'"
    )
    return {name for (name,) in rows.fetchall()}


def error_of(conn: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the plugin's error in a query, without DuckDB's prefix."""
    with pytest.raises(duckdb.InvalidInputException) as error:
        conn.execute(sql).fetchall()
    prefix = (
        "Invalid Input Error: Python exception occurred while executing the UDF: "
        "TfEmbeddingsError: "
    )
    assert str(error.value).startswith(prefix)
    return str(error.value).removeprefix(prefix)


def check(artifact: Artifact, **changes: object) -> str:
    """Return the SQL that checks a pin; by default the right pin."""
    pin: dict[str, Any] = {
        "model": artifact.model,
        "version": artifact.version,
        "build": artifact.build,
        "dimensions": artifact.dimensions,
        **changes,
    }
    return (
        f"select tf_embeddings_check('{pin['model']}', '{pin['version']}', '{pin['build']}', "
        f"{pin['dimensions']})"
    )


@pytest.fixture(scope="module")
def db(tiny: Artifact) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(tiny.stage) as conn:
        yield conn


@pytest.fixture
def staged(tiny: Artifact, tmp_path: Path) -> Artifact:
    """The small model in the test's own stage folder."""
    stage = tmp_path / "stage"
    path = stage / tiny.path.relative_to(tiny.stage)
    path.parent.mkdir(parents=True)
    shutil.copy(tiny.path, path)
    return Artifact(path, tiny.model, tiny.version, tiny.build, tiny.dimensions)


# Semantics, through SQL.


def test_a_text_becomes_a_struct_with_a_fixed_size_vector(
    db: duckdb.DuckDBPyConnection, tiny: Artifact, tiny_embedder: Embedder
) -> None:
    row = db.execute(f"select r, typeof(r) from (select {tiny.function}('the fox', false) as r)")
    outcome, of_type = row.fetchall()[0]
    assert of_type == (
        "STRUCT(embedding FLOAT[8], token_count INTEGER, is_truncated BOOLEAN, status VARCHAR)"
    )
    expected = tiny_embedder.embed(["the fox"]).embeddings[0]
    np.testing.assert_allclose(outcome["embedding"], expected, rtol=0, atol=SAME)
    assert (outcome["token_count"], outcome["is_truncated"], outcome["status"]) == (4, False, "ok")


@pytest.mark.parametrize(
    ("text", "status", "token_count", "is_truncated"),
    [
        ("null", "null", None, None),
        ("''", "blank", 0, False),
        ("'   '", "blank", 0, False),
        ("chr(9) || chr(10) || chr(8195)", "blank", 0, False),
        ("chr(0)", "blank", 0, False),
        ("'😀'", "ok", 3, False),
        ("'fox' || chr(0) || 'dog'", "ok", None, False),
        ("repeat('x', 100000)", "ok", None, None),
        ("repeat('a b ', 25000)", "ok", 50_002, True),
        ("'нос 鼻 أنف nose'", "ok", None, None),
        ("'نص حكيم'", "ok", None, False),
    ],
)
@pytest.mark.parametrize("beside", [0, 3000])
def test_the_outcome_of_a_text(
    db: duckdb.DuckDBPyConnection,
    tiny: Artifact,
    text: str,
    status: str,
    token_count: int | None,
    is_truncated: bool | None,
    beside: int,
) -> None:
    """As a constant and as a row among others: DuckDB calls the function differently."""
    sql = f"select {tiny.function}({text}, false)"
    if beside:
        others = f"select 'row ' || i from range({beside}) as others(i)"
        sql = (
            f"select max({tiny.function}(text, false)) filter (text is not distinct from ({text})) "
            f"from (select {text} as text union all {others}) as texts"
        )
    outcome = db.execute(sql).fetchall()[0][0]
    if outcome is None:  # max() of one STRUCT with NULL fields
        pytest.fail("no outcome")
    assert outcome["status"] == status
    assert (outcome["embedding"] is not None) == (status == "ok")
    if status == "ok":
        assert np.linalg.norm(outcome["embedding"]) == pytest.approx(1, abs=1e-6)
        assert outcome["token_count"] >= 3
    if token_count is not None or status == "null":
        assert outcome["token_count"] == token_count
    if is_truncated is not None or status == "null":
        assert outcome["is_truncated"] == is_truncated


def test_only_tokens_are_counted_if_the_second_argument_says_so(
    db: duckdb.DuckDBPyConnection, tiny: Artifact, tiny_embedder: Embedder
) -> None:
    sql = (
        f"select {tiny.function}(body, flag) from (values ('the fox', true), ('the fox', false), "
        "('the fox', null), (null, true), (' ', true), (repeat('a b ', 30), true)) as t(body, flag)"
    )
    outcomes = [outcome for (outcome,) in db.execute(sql).fetchall()]
    vectors = [outcome.pop("embedding") for outcome in outcomes]
    assert [vector is None for vector in vectors] == [True, False, False, True, True, True]
    expected = tiny_embedder.embed(["the fox"] * 2).embeddings
    np.testing.assert_allclose(vectors[1:3], expected, rtol=0, atol=SAME)
    assert [tuple(outcome.values()) for outcome in outcomes] == [
        *[(4, False, "ok")] * 3,
        (None, None, "null"),
        (0, False, "blank"),
        (62, True, "ok"),
    ]


def test_only_the_tokens_of_many_rows_are_counted(
    db: duckdb.DuckDBPyConnection, tiny: Artifact
) -> None:
    sql = (
        f"select sum((r).token_count), count((r).embedding), count(*) from "
        f"(select {tiny.function}(repeat('fox ', (1 + i % 3)::int), i % 2 = 0) as r "
        "from range(3000) as t(i))"
    )
    assert db.execute(sql).fetchall() == [(4 * 3000, 1500, 3000)]


def test_a_bad_row_is_null_beside_good_ones(strings: Artifact) -> None:
    with connect(strings.stage) as conn:
        rows = conn.execute(
            f"select text, (r).status, (r).embedding, (r).token_count from (select text, "
            f"{strings.function}(text, false) as r "
            f"from (values ('abc'), ('number: x'), (null), ('')) as texts(text))"
        ).fetchall()
    assert rows == [
        ("abc", "ok", (3.0, 1.0, 0.0), None),
        ("number: x", "error", None, None),
        (None, "null", None, None),
        ("", "blank", None, None),
    ]


def test_a_vector_is_the_same_by_itself_in_chunks_and_in_any_order(
    db: duckdb.DuckDBPyConnection, tiny: Artifact
) -> None:
    """300,000 rows: DuckDB calls the function from all its threads, 2,048 rows at a time."""
    texts = ", ".join(f"'{text}'" for text in CORPUS)
    db.execute(
        f"create or replace table texts as select i, ([{texts}])[1 + i % 6] || ' ' || i % 1000 "
        "as text from range(300000) as r(i)"
    )
    db.execute(
        "create or replace table embedded as "
        f"select i, text, {tiny.function}(text, false).embedding as v from texts"
    )
    db.execute(
        "create or replace table reversed as "
        f"select i, {tiny.function}(text, false).embedding as v "
        "from (from texts where i % 7 = 0 order by i desc)"
    )
    widest = db.execute(
        "select max(array_distance(e.v, r.v)), count(*) from embedded e join reversed r using (i)"
    ).fetchall()
    assert widest[0][1] == 42858
    assert widest[0][0] < SAME
    assert db.execute("select count(*) from embedded where v is null").fetchall() == [(0,)]
    distance = db.execute(
        f"select array_distance(v, {tiny.function}('{CORPUS[0]} 0', false).embedding) "
        "from embedded where i = 0"
    ).fetchall()
    assert distance[0][0] < SAME


def test_four_connections_at_once(db: duckdb.DuckDBPyConnection, tiny: Artifact) -> None:
    sql = (
        f"select {tiny.function}('text ' || i, false).embedding from range(3000) as r(i) order by i"
    )

    def query(_: int) -> np.ndarray:
        with db.cursor() as cursor:
            return np.array([vector for (vector,) in cursor.execute(sql).fetchall()])

    expected = query(0)
    with ThreadPoolExecutor(4) as threads:
        for vectors in threads.map(query, range(4)):
            np.testing.assert_allclose(vectors, expected, rtol=0, atol=SAME)


# A thread that Python did not start, such as DuckDB's, gets a new Python state for each call into
# Python. Here a thread of the C library calls twice, at its start and in a destructor at its end.
CALLS_FROM_A_FOREIGN_THREAD = """
import ctypes, sys
from pathlib import Path
import pyarrow as pa
from tf_embeddings_duckdb import _embed_function, _verify
from tf_embeddings_stage import stage_of

libc = ctypes.CDLL(None)
key, thread = ctypes.c_uint(), ctypes.c_ulong()
stage = stage_of({"stage": "stage", "cache": sys.argv[1]})
first, second = (_embed_function(stage, Path(path)) for path in sys.argv[2:4])
pin = sys.argv[4:]

def call(embed):
    outcomes = embed(pa.chunked_array([["a"]]), pa.chunked_array([[False]]))
    print(outcomes.field("status")[0], flush=True)
    if pin:
        _verify(stage, *pin)

@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def at_the_end(_):
    call(second)

@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def at_the_start(_):
    call(first)
    libc.pthread_setspecific(key, ctypes.c_void_p(1))

libc.pthread_key_create(ctypes.byref(key), at_the_end)
libc.pthread_create(ctypes.byref(thread), None, at_the_start, None)
libc.pthread_join(thread, None)
"""


def call_from_a_foreign_thread(folder: Path, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLS_FROM_A_FOREIGN_THREAD, folder, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(UDF_SRC)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "ok\nok\n"), done.stderr


@pytest.mark.parametrize("second", ["tiny", "strings"])
def test_a_second_call_by_a_thread_of_duckdb_does_not_crash(
    tiny: Artifact, strings: Artifact, second: str, tmp_path: Path
) -> None:
    artifacts = {"tiny": tiny, "strings": strings}
    call_from_a_foreign_thread(tmp_path, tiny.path, artifacts[second].path)


def test_a_thread_of_duckdb_that_embedded_may_verify(golden: Artifact, tmp_path: Path) -> None:
    pin = golden.model, golden.version, golden.build
    call_from_a_foreign_thread(tmp_path, golden.path, golden.path, *pin)


# Registering.


def test_each_artifact_has_a_function_and_no_model_is_loaded(
    tiny: Artifact, strings: Artifact, tmp_path: Path
) -> None:
    """One stage, two models; nothing is unpacked before a call."""
    stage = tmp_path / "stage"
    for artifact in (tiny, strings):
        shutil.copytree(artifact.path.parent, stage / artifact.model / artifact.version)
    with connect(stage) as conn:
        assert functions(conn) == {*OPERATIONS, tiny.function, strings.function}
        assert not (stage / ".cache").exists()


def test_a_start_imports_no_tensorflow_and_writes_nothing(tiny: Artifact, tmp_path: Path) -> None:
    code = (
        "import sys, duckdb; from tf_embeddings_duckdb import Plugin; conn = duckdb.connect(); "
        f"Plugin('p', {{'stage': {str(tiny.stage)!r}}}).configure_connection(conn); "
        f"assert conn.execute({check(tiny)!r}).fetchall() == [(True,)]; conn.close(); "
        "assert not {'tensorflow', 'tokenizers'} & sys.modules.keys()"
    )
    environment = {**os.environ, "PYTHONPATH": str(UDF_SRC)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("make", [False, True])
def test_dbt_starts_without_a_stage_and_with_an_empty_one(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "stage").mkdir()
    with connect(tmp_path / "stage") as conn:
        assert functions(conn) == OPERATIONS


def test_a_broken_artifact_does_not_stop_dbt(staged: Artifact, strings: Artifact) -> None:
    os.truncate(staged.path, 1000)
    stage = staged.stage
    shutil.copytree(strings.path.parent, stage / "strings" / strings.version)
    with connect(stage) as conn:
        assert functions(conn) == {*OPERATIONS, strings.function}
        assert conn.execute(check(strings)).fetchall() == [(True,)]
        assert "it is cut short, or not a zip" in error_of(conn, check(staged))


def test_other_files_are_ignored(staged: Artifact) -> None:
    folder = staged.path.parent
    for name in ("notes.txt", "tiny.zip", "Tiny-b000000000000.zip", "tiny-b0.zip", ".x.part"):
        (folder / name).touch()
    with connect(staged.stage) as conn:
        assert functions(conn) == {*OPERATIONS, staged.function}


def test_the_same_database_may_be_configured_again(tiny: Artifact, tmp_path: Path) -> None:
    """DbtRunner is called twice in one process while the user has the database open."""
    config = {"stage": str(tiny.stage)}
    with duckdb.connect(tmp_path / "x.duckdb") as kept:
        for _ in range(2):
            conn = duckdb.connect(tmp_path / "x.duckdb")
            Plugin("first", config).configure_connection(conn)
            Plugin("second", config).configure_connection(conn)
            conn.close()
        # The connections that registered the function are closed, but it must not be freed.
        sql = f"select {tiny.function}('the fox', false).status"
        assert kept.execute(sql).fetchall() == [("ok",)]


# The configuration.


def test_a_relative_stage_starts_from_the_current_folder(
    staged: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(staged.stage.parent)
    plugin = Plugin("p", {"stage": "stage", "cache": "elsewhere"})
    monkeypatch.chdir("/")
    with duckdb.connect() as conn:
        plugin.configure_connection(conn)
        assert conn.execute(check(staged)).fetchall() == [(True,)]
    assert (staged.stage.parent / "elsewhere" / f"tiny-{staged.version}-{staged.build}").is_dir()


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        Plugin("p", {"stages": "stage"})
    assert str(error.value) == (
        "tf_embeddings: the plugin's config has an unknown key 'stages'. Allowed keys: cache, "
        "stage, threads."
    )


@pytest.mark.parametrize("alias", [None, "embeddings"])
@pytest.mark.parametrize("own", [{}, {"threads": 1, "stage": "mine"}])
def test_the_profiles_settings_are_not_options_of_the_plugin(
    own: dict[str, Any], alias: str | None
) -> None:
    """dbt-duckdb mixes them into the config of each plugin."""
    settings = {"threads": "4", "stage": 5, "cache": "", "memory_limit": "1GB"}
    module = "tf_embeddings_duckdb"
    credentials = DuckDBCredentials(
        settings=settings, plugins=[PluginConfig(module=module, alias=alias, config=own)]
    )
    plugin = Environment.initialize_plugins(credentials)[alias or module]
    expected = Plugin("p", own)
    assert vars(plugin)["_stage"] == vars(expected)["_stage"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"threads": "2"}, "threads: '2'. Give a whole number, or 0 for all cores."),
        ({"threads": -1}, "threads: -1. Give a whole number, or 0 for all cores."),
        ({"stage": 5}, "stage: 5. Give the path of a folder."),
        ({"cache": ""}, "cache: ''. Give the path of a folder."),
    ],
)
def test_a_wrong_configuration_is_named(config: dict[str, object], says: str) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        Plugin("p", config)
    assert str(error.value) == f"tf_embeddings: the plugin's config says {says}"


# The check.


def test_a_right_pin_passes_and_the_artifact_is_unpacked(staged: Artifact) -> None:
    with connect(staged.stage) as conn:
        assert conn.execute(check(staged)).fetchall() == [(True,)]
    assert os.listdir(staged.stage / ".cache") == [f"tiny-{staged.version}-{staged.build}"]


def missing(stage: Path, listing: str, *, build: str = "b000000000000") -> str:
    return (
        f"tf_embeddings: the artifact of model 'tiny' (version v111111111111, build {build}) is "
        f"not in the stage folder '{stage}' ({listing}). Stage it with: {STAGE_TINY}"
    )


def test_a_missing_artifact(staged: Artifact, tmp_path: Path) -> None:
    pin = check(staged, version="v111111111111", build="b000000000000")
    nowhere, empty = tmp_path / "nowhere", tmp_path / "empty"
    empty.mkdir()
    listing = f"it has: tiny/{staged.version}/tiny-{staged.build}.zip"
    for stage, says in (
        (nowhere, "it does not exist"),
        (empty, "it is empty"),
        (staged.stage, listing),
    ):
        with connect(stage) as conn:
            assert error_of(conn, pin) == missing(stage, says)


def test_a_long_listing_is_cut(staged: Artifact) -> None:
    for number in range(7):
        (staged.path.parent / f"tiny-b00000000000{number}.zip").touch()
    listed = [f"tiny/{staged.version}/tiny-b00000000000{number}.zip" for number in range(5)]
    pin = check(staged, version="v111111111111", build="bffffffffffff")
    with connect(staged.stage) as conn:
        says = f"it has: {', '.join(listed)} and 3 more"
        assert error_of(conn, pin) == missing(staged.stage, says, build="bffffffffffff")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "v111111111111"}, "version v111111111111 and 8 dimensions"),
        ({"dimensions": 384}, "version {version} and 384 dimensions"),
    ],
)
def test_a_wrong_pin(staged: Artifact, changes: dict[str, object], says: str) -> None:
    with connect(staged.stage) as conn:
        assert error_of(conn, check(staged, **changes)) == (
            f"tf_embeddings: the pin of model 'tiny' says {says.format(version=staged.version)}, "
            f"but its artifact tiny-{staged.build}.zip has version {staged.version} and 8 "
            f"dimensions. Correct the pin in var tf_embeddings_models, or write it with: "
            f"{STAGE_TINY}"
        )


def test_an_artifact_that_is_damaged(staged: Artifact) -> None:
    content = bytearray(staged.path.read_bytes())
    content[len(content) // 2] ^= 1
    staged.path.write_bytes(content)
    with connect(staged.stage) as conn:
        message = error_of(conn, check(staged))
        assert error_of(conn, f"select {staged.function}('a', false)") == message
    assert message.startswith(
        f"tf_embeddings: the artifact '{staged.path}' cannot be used: 'model/model.tflite' is not "
        f"as its manifest says. Delete it and stage the model again with: {STAGE_TINY}"
    )


@pytest.mark.parametrize(("number", "known"), [("format", 3), ("contract", 1)])
def test_an_artifact_of_another_time(
    saved_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path, number: str, known: int
) -> None:
    folder, parameters = saved_tokens_model
    artifact = write_artifact(folder, {**parameters, number: 2}, tmp_path)
    with connect(tmp_path) as conn:
        assert functions(conn) == OPERATIONS
        assert error_of(conn, check(artifact)) == (
            f"tf_embeddings: the artifact '{artifact.path}' has {number} 2, and the "
            f"installed tf_embeddings only knows {number} {known}. Install the tf_embeddings that "
            f"made it, or stage the model again with: {STAGE_TINY}"
        )


def test_missing_packages_are_named_with_the_command(
    saved_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    packages = ["numpy", "tensorflow_that_is_missing", "tokenizers-that-are-missing"]
    folder, parameters = saved_tokens_model
    artifact = write_artifact(folder, {**parameters, "packages": packages}, tmp_path)
    with connect(tmp_path) as conn:
        assert error_of(conn, check(artifact)) == (
            "tf_embeddings: model 'tiny' needs Python packages that are not installed: "
            "tensorflow_that_is_missing, tokenizers-that-are-missing. Install them with: "
            "pip install -r dbt_packages/tf_embeddings/requirements.txt"
        )


def without(packages: Sequence[str], artifact: Artifact, folder: Path, sql: str) -> str:
    """Start the plugin without some packages; return the error of a query."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({packages!r}))\n"
        "import importlib.util, duckdb, tf_embeddings_duckdb as plugin\n"
        f"find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name: None if name in {packages!r} else find(name)\n"
        "with duckdb.connect() as conn:\n"
        f"    started = plugin.Plugin('p', {{'stage': {str(artifact.stage)!r}}})\n"
        "    started.configure_connection(conn)\n"
        "    with conn.cursor() as cursor:\n"
        "        started.configure_cursor(cursor)\n"
        f"        try: cursor.execute({sql!r}).fetchall()\n"
        "        except duckdb.Error as error: print(str(error).partition('tf_embeddings: ')[2])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(UDF_SRC)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.rstrip()


def test_without_litert_tokenizers_and_pyarrow_dbt_starts(tiny: Artifact, tmp_path: Path) -> None:
    for sql in (check(tiny), call("verify", tiny)):
        assert without(["ai_edge_litert", "tokenizers", "pyarrow"], tiny, tmp_path, sql) == (
            "model 'tiny' needs Python packages that are not installed: ai-edge-litert, "
            "tokenizers, pyarrow. Install them with: "
            "pip install -r dbt_packages/tf_embeddings/requirements.txt"
        )


def test_without_tensorflow_a_model_that_needs_it_says_so(
    tiny_on_tensorflow: Artifact, tmp_path: Path
) -> None:
    assert without(["tensorflow"], tiny_on_tensorflow, tmp_path, check(tiny_on_tensorflow)) == (
        "model 'tiny' needs Python packages that are not installed: tensorflow. Install them with: "
        "pip install -r dbt_packages/tf_embeddings/requirements-staging.txt"
    )


@pytest.mark.parametrize("operation", ["check", "verify", "staged", "remove"])
def test_without_numpy_dbt_starts_too(tiny: Artifact, tmp_path: Path, operation: str) -> None:
    """DuckDB needs NumPy to register a Python function; dbt-duckdb does not install it."""
    sql = {"check": check(tiny), "staged": "select tf_embeddings_staged()"}
    asked = sql.get(operation) or call(operation, tiny)
    assert without(["numpy"], tiny, tmp_path, asked) == (
        "the Python package 'numpy' is not installed. Install what tf_embeddings needs with: "
        "pip install -r dbt_packages/tf_embeddings/requirements.txt"
    )


def test_the_check_is_called_once(staged: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking 90 MB takes a second, so DuckDB must not fold it repeatedly as a constant."""
    calls: list[str] = []
    actual = tf_embeddings_duckdb.unpack

    def counting(path: Path, cache: Path, **options: str) -> Path:
        calls.append(path.name)
        return actual(path, cache, **options)

    monkeypatch.setattr(tf_embeddings_duckdb, "unpack", counting)
    with connect(staged.stage) as conn:
        conn.execute(check(staged)).fetchall()
    assert calls == [staged.path.name]


# The other operations.


def call(function: str, artifact: Artifact, **changes: str) -> str:
    """Return the SQL that calls an operation with a pin; by default the right pin."""
    pin = {"model": artifact.model, "version": artifact.version, "build": artifact.build} | changes
    arguments = ", ".join("'" + value.replace("'", "''") + "'" for value in pin.values())
    return f"select tf_embeddings_{function}({arguments})"


def answer(conn: duckdb.DuckDBPyConnection, sql: str) -> Any:  # noqa: ANN401
    return conn.execute(sql).fetchall()[0][0]


@pytest.fixture
def golden(
    saved_tokens_model: tuple[Path, dict[str, Any]], tiny_embedder: Embedder, tmp_path: Path
) -> Artifact:
    """The small model with golden vectors, the last of which is off by 0.25."""
    content = golden_of(tiny_embedder, CORPUS)
    content["vectors"][-1][3] += 0.25
    return write_artifact(*saved_tokens_model, tmp_path / "stage", golden=content)


def test_an_artifact_is_verified(golden: Artifact) -> None:
    with connect(golden.stage) as conn:
        report = json.loads(answer(conn, call("verify", golden)))
        assert answer(conn, f"select {golden.function}('the fox', false).status") == "ok"
    assert report["largest_difference"] == pytest.approx(0.25, abs=SAME)
    assert report["mismatches"] == []
    assert [report[key] for key in ("model", "version", "build", "texts")] == [
        "tiny",
        golden.version,
        golden.build,
        len(CORPUS),
    ]


def test_an_artifact_that_cannot_be_verified_is_named(staged: Artifact) -> None:
    pin = {"version": "v111111111111"}
    with connect(staged.stage) as conn:
        assert error_of(conn, call("verify", staged)) == (
            f"tf_embeddings: the artifact tiny-{staged.version}-{staged.build} holds no golden "
            f"vectors, so there is nothing to verify it by. Stage the model again with: "
            f"{STAGE_TINY}"
        )
        assert error_of(conn, call("verify", staged, **pin)) == (
            f"tf_embeddings: the pin of model 'tiny' says version v111111111111, but its artifact "
            f"tiny-{staged.build}.zip has version {staged.version}. Correct the pin in var "
            f"tf_embeddings_models, or write it with: {STAGE_TINY}"
        )
        listing = f"it has: tiny/{staged.version}/tiny-{staged.build}.zip"
        assert error_of(conn, call("verify", staged, **pin, build="b000000000000")) == missing(
            staged.stage, listing
        )


def test_the_staged_artifacts_are_listed(staged: Artifact, strings: Artifact) -> None:
    """Damaged ones too, but not those in a wrong place, because no pin can name them."""
    stage = staged.stage
    shutil.copytree(strings.path.parent, stage / "strings" / strings.version)
    shutil.copytree(strings.path.parent, stage / "tiny" / strings.version)
    os.truncate(staged.path, 1000)
    listing = [
        {
            "model": one.model,
            "version": one.version,
            "build": one.build,
            "path": f"{one.model}/{one.version}/{one.model}-{one.build}.zip",
            "bytes": size,
        }
        for one, size in ((strings, strings.path.stat().st_size), (staged, 1000))
    ]
    with connect(stage) as conn:
        assert json.loads(answer(conn, "select tf_embeddings_staged()")) == listing
    for nothing in (stage / "nowhere", staged.path.parent):
        with connect(nothing) as conn:
            assert answer(conn, "select tf_embeddings_staged()") == "[]"


def test_an_artifact_is_removed_with_its_folders_and_its_copy(
    staged: Artifact, strings: Artifact
) -> None:
    stage = staged.stage
    shutil.copytree(strings.path.parent, stage / "strings" / strings.version)
    with connect(stage) as conn:
        for one in (staged, strings):
            assert conn.execute(check(one)).fetchall() == [(True,)]
        assert answer(conn, call("remove", staged)) is True
        assert sorted(os.listdir(stage)) == [".cache", "strings"]
        assert os.listdir(stage / ".cache") == [f"strings-{strings.version}-{strings.build}"]
        assert answer(conn, call("remove", staged)) is False
        assert conn.execute(check(strings)).fetchall() == [(True,)]
        message = error_of(conn, f"select {staged.function}('the fox', false)")
    assert message == (
        f"tf_embeddings: the artifact '{staged.path}' does not exist. Stage it with: {STAGE_TINY}"
    )


def test_files_beside_an_artifact_stay(staged: Artifact) -> None:
    beside = Path(shutil.copy(staged.path, staged.path.with_name("tiny-b000000000000.zip")))
    with connect(staged.stage) as conn:
        assert answer(conn, call("remove", staged)) is True
    assert list(staged.stage.glob("*/*/*")) == [beside]


def test_a_damaged_artifact_can_be_removed(staged: Artifact) -> None:
    os.truncate(staged.path, 1000)
    with connect(staged.stage) as conn:
        assert answer(conn, call("remove", staged)) is True
    assert os.listdir(staged.stage) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "../tiny"},
        {"model": "."},
        {"model": ""},
        {"version": ".."},
        {"version": "v1"},
        {"version": "v111111111111/.."},
        {"build": "b1"},
        {"build": "../../../outside"},
        {"build": "*"},
    ],
)
def test_other_files_are_not_removed(staged: Artifact, changes: dict[str, str]) -> None:
    outside = Path(shutil.copy(staged.path, staged.stage.parent / "outside.zip"))
    with connect(staged.stage) as conn:
        message = error_of(conn, call("remove", staged, **changes))
    assert message.endswith(
        "so nothing was removed. select tf_embeddings_staged() lists the artifacts."
    )
    assert staged.path.exists()
    assert outside.exists()


@pytest.mark.parametrize("depth", [0, 1])
def test_a_link_out_of_the_stage_is_not_followed(
    staged: Artifact, tmp_path: Path, depth: int
) -> None:
    """The files there may belong to another project."""
    link = staged.path.parents[depth]
    elsewhere = tmp_path / "elsewhere"
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    with connect(staged.stage) as conn:
        message = error_of(conn, call("remove", staged))
    assert "is not an artifact of the stage folder" in message
    assert staged.path.exists()


def test_a_stage_may_itself_be_behind_a_link(staged: Artifact, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(staged.stage)
    with connect(tmp_path / "link") as conn:
        assert answer(conn, call("remove", staged)) is True
    assert not staged.path.exists()


def test_an_operation_runs_once_for_each_row_and_not_for_null(staged: Artifact) -> None:
    with connect(staged.stage) as conn:
        rows = conn.execute(
            f"select tf_embeddings_remove(model, '{staged.version}', '{staged.build}') "
            "from (values ('tiny'), (null), ('tiny')) as pins(model)"
        ).fetchall()
    assert sorted(rows, key=str) == [(False,), (None,), (True,)]


# Through dbt.


def test_dbt_embeds_with_the_plugin(
    staged: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's profile, whose paths start from the current folder, with settings."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("{name: p, version: 1.0.0, profile: p}\n")
    (project / "models" / "m.sql").write_text(
        "{{ config(materialized='table') }}\n"
        f"select {staged.function}('the fox', false).embedding as embedding\n"
    )
    (project / "profiles.yml").write_text(
        "p:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: p.duckdb\n"
        "      module_paths: [udf_src]\n"
        "      settings: {threads: '2', arrow_lossless_conversion: true}\n      plugins:\n"
        "        - {module: tf_embeddings_duckdb, config: {stage: stage}}\n"
    )
    (tmp_path / "udf_src").symlink_to(UDF_SRC)
    arguments = ["--quiet", "run", "--project-dir", "project", "--profiles-dir", "project"]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with duckdb.connect(tmp_path / "p.duckdb") as conn:
        sql = "select typeof(embedding), array_inner_product(embedding, embedding) from m"
        assert conn.execute(sql).fetchall() == [("FLOAT[8]", pytest.approx(1, abs=1e-6))]


# Outside dbt.

OUTSIDE = """
import sys
if sys.argv[3] == "without dbt":
    sys.modules["dbt"] = None
import duckdb, tf_embeddings_duckdb
connection = duckdb.connect()
tf_embeddings_duckdb.register(connection, stage=sys.argv[1])
connection.execute("create table docs as select 1 id, 'the fox' t union all select 2, 'a dog'")
sql = '''
with q as materialized (select FUNCTION($1, false).embedding as v)
select id from docs, q order by array_cosine_similarity(FUNCTION(t, false).embedding, v) desc
'''
rows = connection.cursor().execute(sql.replace("FUNCTION", sys.argv[2]), ["the fox"]).fetchall()
print(rows, [name for name in ("dbt.adapters", "tensorflow") if sys.modules.get(name)])
"""


@pytest.mark.parametrize("environment", ["with dbt", "without dbt"])
def test_any_connection_gets_the_functions(
    tiny: Artifact, environment: str, tmp_path: Path
) -> None:
    """A notebook or an app embeds its question without loading dbt."""
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDE, str(tiny.stage), tiny.function, environment],
        env={**os.environ, "PYTHONPATH": str(UDF_SRC)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[(1,), (2,)] []\n", "")


def test_a_connection_may_be_given_the_functions_again(tiny: Artifact, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with duckdb.connect() as conn:
        for _ in range(2):
            register(conn, tiny.stage, cache=cache, threads=1)
        assert answer(conn, f"select {tiny.function}('the fox', false).status") == "ok"
    assert [path.name for path in cache.iterdir()] == [f"tiny-{tiny.version}-{tiny.build}"]
