"""map_embeddings.py on both engines, its numbers against NumPy, its page in Chromium."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import numpy as np
import pytest
import staging_cli
from duckdb_projects import NAME, Project, make_project
from snowflake.connector.cursor import SnowflakeCursor
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from tf_embeddings_map import cli, reading
from tf_embeddings_map.colors import DARK, LIGHT
from tf_embeddings_map.page import page, shortened
from tf_embeddings_map.picture import picture
from tf_embeddings_map.points import MOST_VALUES, Points, points
from tf_embeddings_map.projection import pca, project
from tf_embeddings_map.reading import Connection, Rows
from tf_embeddings_map.tables import as_table, batch_size, write_to_warehouse
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

ROOT = Path(__file__).parents[1]
SCRIPT = "dbt_packages/tf_embeddings/scripts/map_embeddings.py"
DIMENSIONS = 6
VERSION = "v0123456789ab"
# Nothing is staged: only the version is read.
PIN = {
    "version": VERSION,
    "build": "b0123456789ab",
    "dimensions": DIMENSIONS,
    "kind": "tokens",
    "packages": ["numpy"],
}
TOPICS = ("card", "login", "fees", "loan")
HOSTILE = (
    "</script><script>document.title = 'broken'</script>",
    "<!-- <script> ]]> & \" ' \\ \u2028 $title $data ${style}",
    "null",
    "",
    "'= ünïcode \N{PILE OF POO}\ttab \x1b[31m \r\n line",
    "x" * 5000,
)
FILES = {
    "models/tickets_embedded.sql": "select 1 as id",
    "models/not_built.sql": "select 1 as id",
    "models/fleeting.sql": "{{ config(materialized='ephemeral') }} select 1 as id",
}
SVG = "{http://www.w3.org/2000/svg}"


class Ticket(NamedTuple):
    id: int
    body: str | None
    category: str | None
    lang: str
    vector: np.ndarray | None
    version: str


def tickets() -> list[Ticket]:
    """Return 45 tickets: 40 in four clusters, those with hostile texts, and rows to leave out."""
    random = np.random.default_rng(5)
    centers = random.normal(size=(len(TOPICS), DIMENSIONS)) * 3
    rows = []
    for number in range(40):
        topic = number % len(TOPICS)
        vector = (centers[topic] + random.normal(size=DIMENSIONS) * 0.3).astype(np.float32)
        body = f"about my {TOPICS[topic]} {number}"
        if number < len(HOSTILE):
            body = HOSTILE[number].replace(
                "$", ""
            )  # fakesnow takes $word in a literal for a variable
        category = None if number == 39 else "<b>card</b>" if topic == 0 else TOPICS[topic]
        rows.append(Ticket(number, body, category, ("en", "de")[number % 2], vector, VERSION))
    vector = rows[0].vector
    return [
        *rows,
        Ticket(100, None, "card", "en", vector, VERSION),
        Ticket(101, "no vector", "card", "en", None, VERSION),
        Ticket(102, "of an old model", "card", "en", vector, "vffffffffffff"),
        Ticket(103, "of an old model", "card", "en", vector, "vffffffffffff"),
        Ticket(104, "not finite", "card", "en", np.full(DIMENSIONS, np.nan, np.float32), VERSION),
    ]


ON_MAP = [row for row in tickets() if row.id <= 100]


@pytest.fixture(scope="module", params=["duckdb", "snowflake"])
def tickets_project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project whose model tickets_embedded is built; it embeds nothing and needs no plugin."""
    folder = tmp_path_factory.mktemp("dbt") / "project"
    if request.param == "snowflake":
        return snowflake_tickets(folder, request.getfixturevalue("local_snowflake"))
    made = make_project(folder, plugin=False, files=FILES)
    make_tickets(made, "main", f"float[{DIMENSIONS}]")
    return made


def snowflake_tickets(folder: Path, server: LocalSnowflake) -> SnowflakeProject:
    made = make_snowflake_project(folder, server, files=FILES)
    made.execute("create schema dev")
    make_tickets(made, "dev", f"vector(float, {DIMENSIONS})")
    return made


def make_tickets(made: Project, schema: str, vector: str) -> None:
    made.pin(minilm=PIN)
    selects = [
        f"select {row.id} as id, {sql(row.body)} as body, {sql(row.category)} as category, "
        f"{sql(row.lang)} as lang, cast({vector_sql(row.vector)} as {vector}) as embedding, "
        f"{sql(row.version)} as model_version"
        for row in tickets()
    ]
    made.execute(f"create table {schema}.tickets_embedded as {' union all '.join(selects)}")


def sql(text: str | None) -> str:
    if text is None:
        return "cast(null as varchar)"
    if "\\" in text or "\n" in text or "\x1b" in text:
        parts = [f"chr({ord(each)})" if each in "\\\n\r\t\x1b'" else f"'{each}'" for each in text]
        return " || ".join(parts)
    return "'" + text.replace("'", "''") + "'"


def vector_sql(vector: np.ndarray | None) -> str:
    if vector is None:
        return "null"
    components = (str(one) if np.isfinite(one) else "'NaN'::float" for one in map(float, vector))
    return f"[{', '.join(components)}]"


def draw(where: Project, *arguments: str | Path) -> staging_cli.Done:
    return staging_cli.call_main(cli.main, SCRIPT, where.folder, *arguments)


def refused(where: Project, *arguments: str | Path) -> str:
    done = draw(where, *arguments)
    assert done.returncode in (1, 2), done.stderr
    return done.stderr.splitlines()[-1]


MODEL = ("--model", "tickets_embedded", "--label", "category", "--label", "lang")


@pytest.fixture(scope="module")
def drawn(tickets_project: Project) -> Project:
    """The project, with every form of the map in its folder, and the table tickets_map."""
    done = draw(
        *(tickets_project, *MODEL, "--out", "map.html", "--svg", "map.svg"),
        *("--parquet", "map.parquet", "--table", "tickets_map"),
    )
    assert done.returncode == 0, done.stderr
    assert "41 vectors of 6 dimensions; key id, text body." in done.stderr.lower()
    assert "2 vectors of other versions than v0123456789ab are left out." in done.stderr
    assert "1 vectors that are not finite are left out." in done.stderr
    return tickets_project


def data_of(file: Path) -> dict[str, Any]:
    """Return the data in a page: what ends the script element is the first `</script>`."""
    text = file.read_text(encoding="utf-8")
    start = '<script type="application/json" id="data">'
    return json.loads(text.partition(start)[2].partition("</script>")[0])


# --- what is read, and what is written ------------------------------------------------------------


def test_the_parquet_file_has_every_row_of_the_version(drawn: Project) -> None:
    rows = duckdb.read_parquet(str(drawn.folder / "map.parquet"))

    assert rows.columns == ["key", "x", "y", "label", "label_2", "text"]
    assert [str(type_) for type_ in rows.types] == (
        ["VARCHAR", "DOUBLE", "DOUBLE", "VARCHAR", "VARCHAR", "VARCHAR"]
    )
    found = {row[0]: row for row in rows.fetchall()}
    assert sorted(found) == sorted(str(row.id) for row in ON_MAP) == list(found)
    for row in ON_MAP:
        assert found[str(row.id)][3:] == (row.category, row.lang, row.body)


def test_the_places_are_the_principal_components_of_an_independent_decomposition(
    drawn: Project,
) -> None:
    rows = duckdb.read_parquet(str(drawn.folder / "map.parquet")).select("x", "y").fetchall()
    by_key = sorted(ON_MAP, key=lambda row: str(row.id))
    vectors = np.stack([row.vector for row in by_key if row.vector is not None])
    vectors = vectors.astype(np.float64)
    centered = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    expected = left[:, :2] * sizes[:2]

    found = np.array(rows)
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-5)


def test_a_second_run_writes_the_same_bytes(drawn: Project) -> None:
    files = ("map.html", "map.svg", "map.parquet")
    before = [(drawn.folder / name).read_bytes() for name in files]
    done = draw(
        *(drawn, *MODEL, "--out", "again.html", "--svg", "again.svg"),
        *("--parquet", "again.parquet"),
    )
    assert done.returncode == 0, done.stderr
    again = [(drawn.folder / name.replace("map", "again")).read_bytes() for name in files]
    assert again == before


def test_the_table_has_what_the_file_has_and_can_be_written_again(drawn: Project) -> None:
    query = "select key, x, y, label, label_2, text from {} order by key"
    expected = duckdb.read_parquet(str(drawn.folder / "map.parquet")).fetchall()
    schema = "dev" if isinstance(drawn, SnowflakeProject) else "main"

    empty = ("", "null") if isinstance(drawn, SnowflakeProject) else ("",)

    def as_seed(text: str | None) -> str | None:
        """An empty text is NULL, on Snowflake also `null`; a line's end is a line feed."""
        return None if text is None or text in empty else text.replace("\r\n", "\n")

    for labels in (MODEL, MODEL[:4]):
        found = drawn.rows(query.format(f"{schema}.tickets_map"))
        for row, other in zip(found, expected, strict=True):
            assert (row[0], *row[3:5]) == (other[0], *other[3:5])
            assert row[1:3] == pytest.approx(other[1:3], abs=1e-6)
            assert (row[5] and row[5].replace("\r\n", "\n")) == as_seed(other[5])
        done = draw(drawn, *labels, "--table", "tickets_map")
        assert done.returncode == 0, done.stderr
        if labels != MODEL:
            assert [c for c in drawn.rows(f"select label from {schema}.tickets_map")] != []
    done = draw(drawn, *MODEL, "--table", "tickets_map")
    assert done.returncode == 0, done.stderr


def test_a_sample_is_the_same_and_by_hash(drawn: Project) -> None:
    done = draw(drawn, *MODEL[:2], "--limit", "10", "--out", "sample.html")
    assert done.returncode == 0, done.stderr
    assert "A sample of 10 of 42 rows, always the same; --limit changes its size." in done.stderr

    ids = [row.id for row in tickets() if row.vector is not None and row.version == VERSION]
    by_hash = sorted(ids, key=lambda id_: hashlib.sha256(str(id_).encode()).hexdigest())
    expected = sorted(str(id_) for id_ in by_hash[:10] if id_ != 104)
    assert data_of(drawn.folder / "sample.html")["keys"] == expected


def test_columns_may_be_named(drawn: Project) -> None:
    done = draw(
        *(drawn, *MODEL[:2], "--key", "BODY", "--text", "Lang", "--embedding", "EMBEDDING"),
        *("--version-column", "Model_Version", "--embedding-model", "minilm", "--out", "n.html"),
    )
    # 41 rows have a text, and one has none.
    assert done.returncode == 1
    assert "of tickets_embedded has 41 values in 42 rows, and it must be different" in (
        done.stderr.lower()
    )


def test_the_table_goes_where_the_rows_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile is of ~/.dbt, though the project's folder has a different one."""
    made = make_project(tmp_path / "project", plugin=False, files=FILES)
    make_tickets(made, "main", f"float[{DIMENSIONS}]")
    home = tmp_path / "home" / ".dbt"
    home.mkdir(parents=True)
    read = tmp_path / "read.duckdb"
    shutil.copy(made.database, read)
    profiles = (made.folder / "profiles.yml").read_text().replace(str(made.database), str(read))
    (home / "profiles.yml").write_text(profiles)
    made.execute("create table tickets_map as select 1 as precious")
    monkeypatch.setenv("HOME", str(home.parent))
    done = staging_cli.call_main(
        *(cli.main, SCRIPT, tmp_path, *MODEL, "--project-dir", "project", "--table", "tickets_map")
    )
    assert done.returncode == 0, done.stderr
    assert made.rows("from tickets_map") == [(1,)]
    with duckdb.connect(str(read)) as connection:
        assert len(connection.execute("from tickets_map").fetchall()) == len(ON_MAP)


def test_a_text_that_is_too_long_for_a_seed_is_cut(tmp_path: Path) -> None:
    made = make_project(tmp_path / "project", plugin=False, files=FILES)
    make_tickets(made, "main", f"float[{DIMENSIONS}]")
    made.execute("update tickets_embedded set body = repeat('é', 131073) where id = 7")
    made.execute("update tickets_embedded set body = repeat('é', 131072) where id = 8")
    done = draw(made, *MODEL, "--table", "tickets_map", "--parquet", "map.parquet")
    assert done.returncode == 0, done.stderr
    assert "1 values of it are cut after 131,072 characters" in done.stderr
    query = "select text from {} where key in ('7', '8')"
    assert made.rows(query.format("tickets_map")) == [("é" * 131_072,)] * 2
    whole = duckdb.read_parquet(str(made.folder / "map.parquet")).filter("key = '7'")
    assert whole.select("text").fetchall() == [("é" * 131_073,)]


def test_the_rows_of_a_seed_s_statement_go_by_their_size() -> None:
    assert batch_size([["key", 0.5, 0.5, "text"]] * 30_000) == 10_000
    lines = [["key", 0.5, 0.5, "é" * 1000]] * 9999
    assert batch_size(lines) == 156
    assert batch_size([["key", 0.5, 0.5, "é" * 131_072], *lines]) == 78
    assert batch_size([["é" * 131_072] * 5] * 3) == 1


def test_no_statement_of_a_seed_is_above_a_megabyte(
    local_snowflake: LocalSnowflake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = snowflake_tickets(tmp_path / "project", local_snowflake)
    project.execute("update dev.tickets_embedded set body = repeat('x', 100000) where id < 40")
    sizes: list[int] = []
    execute = SnowflakeCursor.execute

    def counting(
        self: SnowflakeCursor,
        command: str,
        params: Sequence[object] | None = None,
        **keys: Any,  # noqa: ANN401 - the connector's own
    ) -> object:
        sizes.append(len(command) + sum(len(str(value)) for value in params or ()))
        return execute(self, command, params, **keys)

    monkeypatch.setattr(SnowflakeCursor, "execute", counting)
    done = draw(project, *MODEL, "--table", "tickets_map")
    assert done.returncode == 0, done.stderr
    assert 100_000 < max(sizes) < 1_000_000
    assert project.rows("select count(*), sum(length(text)) from dev.tickets_map") == [
        (len(ON_MAP), 4_000_000)
    ]


@pytest.mark.parametrize("end", ["SIGTERM", "SIGHUP"])
def test_an_end_from_outside_leaves_no_file(tmp_path: Path, end: str) -> None:
    """As a canceled job of CI and `docker stop` end the script while dbt runs."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, tempfile, time\n"
        f"sys.path[:0] = {[str(ROOT / 'scripts'), str(ROOT / 'udf_src')]}\n"
        "from tf_embeddings_staging.command_line import run\n"
        f"import signal; signal.signal(signal.{end}, signal.SIG_DFL)\n"  # nohup ignores SIGHUP
        "def work():\n"
        "    with tempfile.TemporaryDirectory(prefix='tf_embeddings_'):\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(600)\n"
        "sys.exit(run('map_embeddings', work, interrupted='Run it again.'))\n"
    )
    process = subprocess.Popen(
        [sys.executable, program],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.Signals[end])
    said = process.communicate(timeout=60)[1]
    assert said == "map_embeddings: interrupted. Run it again.\n"
    assert process.returncode == 130
    assert list(temporary.iterdir()) == []


def test_a_seed_in_another_database_is_refused(tmp_path: Path) -> None:
    made = make_project(tmp_path / "project", plugin=False)
    made.execute("create table tickets_map as select 1 as precious")
    dbt = DbtOptions(profiles_dir=str(made.folder), profile=NAME, target="dev")
    connection = Connection(dbt, {"type": "duckdb", "path": "another.duckdb"})
    rows = made_rows(9)
    with pytest.raises(StagingError, match="the rows came from a different database than"):
        write_to_warehouse(as_table(rows, pca(rows.vectors)), "tickets_map", connection)
    assert made.rows("from tickets_map") == [(1,)]


def test_a_name_with_quotes_is_a_column(tickets_project: Project) -> None:
    where = tickets_project
    schema = "dev" if isinstance(where, SnowflakeProject) else "main"
    where.execute(
        f'create table {schema}.not_built as select id, body, category as "we""ird", embedding, '
        f"model_version from {schema}.tickets_embedded"
    )
    try:
        done = draw(where, "--model", "not_built", "--label", 'we"ird', "--out", "quoted.html")
    finally:
        where.execute(f"drop table {schema}.not_built")
    assert done.returncode == 0, done.stderr
    [column] = data_of(where.folder / "quoted.html")["columns"]
    assert column["name"] == 'we"ird'
    assert "login" in [value["name"] for value in column["values"]]


# --- errors ---------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_in_one_sentence(tickets_project: Project) -> None:
    where, out = tickets_project, ("--out", "m.html")
    has = "(it has: id, body, category, lang, embedding, model_version)"
    said = refused(where, "--model", "tickets_embedded", "--label", "topic", *out)
    assert said.lower() == (
        f"map_embeddings: tickets_embedded has no column topic {has}. name the column in --label."
    )
    said = refused(where, "--model", "tickets_embedded", "--version-column", "version", *out)
    assert "or select {{ tf_embeddings.embedding_version() }} as version there" in said
    said = refused(where, "--model", "tickets", *out)
    assert said == (
        "map_embeddings: --model is 'tickets', which is not a model, seed or snapshot of this "
        "project (it has: fleeting, not_built, tickets_embedded). Name the model with the vectors."
    )
    said = refused(where, "--model", "not_built", *out)
    assert said == (
        "map_embeddings: model 'not_built' is not built on target 'dev'. Build it: dbt build "
        "--select +not_built"
    )
    assert "is ephemeral" in refused(where, "--model", "fleeting", *out)
    said = refused(where, "--model", "tickets_embedded", "--highlight", "card", *out)
    assert said == (
        "map_embeddings: --highlight names values of a label. Name its column with --label."
    )
    said = refused(where, *MODEL, "--highlight", "Card", *out)
    assert "--highlight Card is not a value of" in said
    assert refused(where, "--model", "tickets_embedded").startswith(
        "map_embeddings: there is nothing to write."
    )
    assert "'0' is not a whole number of at least 1" in refused(where, *MODEL, "--limit", "0", *out)
    assert "there is no folder 'none'" in refused(where, *MODEL, "--out", "none/m.html")
    said = refused(where, *MODEL, "--table", "tickets_embedded")
    assert "--table is 'tickets_embedded', which is the table of model.a_project." in said
    said = refused(where, *MODEL, "--limit", "2", *out)
    assert "'2' is not a whole number from 4 to 100000" in said
    assert not (where.folder / "m.html").exists()


def test_a_table_that_is_not_a_map_is_not_overwritten(tickets_project: Project) -> None:
    schema = "dev" if isinstance(tickets_project, SnowflakeProject) else "main"
    tickets_project.execute(f"create or replace table {schema}.precious as select 1 as id")
    said = refused(tickets_project, *MODEL, "--table", "precious")
    assert "--table is 'precious', a table that is not a map (it has: id)." in said
    assert tickets_project.rows(f"select id from {schema}.precious") == [(1,)]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["=a", "=b", "=b", "=c"], "4 rows were counted, and 4 with 3 keys were read"),
        (["=a", "=b", "=c"], "4 rows were counted, and 3 with 3 keys were read"),
    ],
)
def test_rows_that_change_between_two_pages_are_refused(
    monkeypatch: pytest.MonkeyPatch, keys: list[str], said: str
) -> None:
    """A rebuild moves the rows, so that a page has some of the page before, or skips some."""
    pages = [
        {"rows": [[key, "=text", "[1, 2]"] for key in keys[start : start + 2]]} for start in (0, 2)
    ]
    answers = [*pages, {"rows": 4}]
    monkeypatch.setattr(reading, "run_macro_for_answers", lambda *_, **__: answers)
    with pytest.raises(StagingError, match=f"tickets changed while it was read: {said}"):
        reading.read(DbtOptions(), reading.Question("tickets"))


def test_a_table_of_another_version_is_refused(tickets_project: Project) -> None:
    tickets_project.pin(minilm={**PIN, "version": "vabababababab"})
    try:
        said = refused(tickets_project, *MODEL, "--out", "m.html")
    finally:
        tickets_project.pin(minilm=PIN)
    assert "no vector of tickets_embedded has the version vabababababab" in said.lower()
    assert "is v0123456789ab in 42 rows, vffffffffffff in 2 rows)" in said


def test_several_models_and_no_default_name_the_script_s_own_option(
    tickets_project: Project,
) -> None:
    tickets_project.pin(minilm=PIN, use=PIN)
    try:
        said = refused(tickets_project, *MODEL, "--out", "m.html")
    finally:
        tickets_project.pin(minilm=PIN)
    assert said == (
        "map_embeddings: var tf_embeddings_models has several models (minilm, use). Pass "
        "--embedding-model …, or name one in var tf_embeddings_default_model."
    )


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be read."""
    monkeypatch.setattr(cli, "read", lambda *_: pytest.fail("it was read"))


@pytest.mark.usefixtures("unread")
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: str) -> str:
        done = staging_cli.call_main(cli.main, SCRIPT, tmp_path, *MODEL, *arguments)
        assert done.returncode == 2
        return done.stderr

    (tmp_path / "folder").mkdir()
    for flag in ("--out", "--svg", "--parquet"):
        assert said(flag, "folder") == (
            "map_embeddings: 'folder' is a folder. Name a file in it.\n"
        )
    (tmp_path / "old.html").write_text("")
    refused = (tmp_path / "folder", Path("old.html"))
    monkeypatch.setattr(cli.os, "access", lambda path, _: path not in refused)  # root may all
    for file in ("folder/new.html", "old.html"):
        assert said("--out", file) == (
            f"map_embeddings: '{file}' cannot be written. Name a file where you may write.\n"
        )


@pytest.mark.usefixtures("unread")
def test_a_missing_package_of_a_method_is_named(
    tickets_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, package in (("umap", "umap-learn"), ("pacmap", "pacmap")):
        monkeypatch.setitem(sys.modules, module, None)
        said = refused(tickets_project, *MODEL, "--method", module, "--out", "m.html")
        assert said == (
            f"map_embeddings: --method {module} needs the Python package {package}. Install it "
            f"with: pip install {package}"
        )


# --- the projection and the drawing, without dbt -------------------------------------------------


def made_rows(count: int, texts: Sequence[str | None] = (), labels: int = 12) -> Rows:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(count, 24)).astype(np.float32)
    return Rows(
        keys=[f"key-{number:06}" for number in range(count)],
        texts=[*texts] or [f"text {number}" for number in range(count)],
        labels=[[f"value {number % labels}" for number in range(count)]],
        vectors=vectors,
        columns=("id", "body", ("category",)),
        notes=(),
    )


def made_points(rows: Rows, *highlighted: str) -> Points:
    return points(rows, pca(rows.vectors), "A title", highlighted)


def test_the_sign_of_the_components_does_not_depend_on_the_order_of_the_rows() -> None:
    vectors = made_rows(60).vectors
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(pca(vectors[order]), pca(vectors)[order], atol=1e-9)


def test_a_method_gets_the_vectors_and_a_fixed_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class UMAP:
        def __init__(self, **options: object) -> None:
            assert options["random_state"] == 42
            assert options["n_neighbors"] == 4

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type("umap", (), {"UMAP": UMAP}))  # pyright: ignore
    vectors = made_rows(5).vectors
    np.testing.assert_array_equal(project(vectors, "umap"), vectors[:, :2])


def test_too_few_different_vectors_are_refused() -> None:
    said = r"at least 4 different vectors, and 50 rows have 1\. Embed a column whose texts differ"
    with pytest.raises(StagingError, match=said):
        project(np.ones((50, 4), np.float32), "pca")
    said = r"at least 4 vectors, and there are 2\. Choose a model with more rows"
    with pytest.raises(StagingError, match=said):
        project(np.eye(2, 4, dtype=np.float32), "pca")


@pytest.mark.parametrize("letter", ["x", "\N{PILE OF POO}", '"', "<", "\u754c"])
def test_a_page_of_10000_points_has_at_most_3_megabytes(letter: str) -> None:
    rows = made_rows(10_000, [letter * 400] * 10_000, labels=2_000)
    assert len(page(made_points(rows)).encode()) <= 3_000_000


def test_a_text_is_cut_at_a_letter() -> None:
    assert shortened("short", 10) == "short"
    assert shortened("äöüäöüäöü", 10) == "äöü…"
    assert shortened("ab <<<<", 12) == "ab <…"


def test_many_values_are_grouped_and_the_most_frequent_have_colors() -> None:
    rows = made_rows(300)
    rows.labels[0][:] = [f"v{min(number // 2, 90):02}" for number in range(300)]
    [column] = made_points(rows).columns
    assert len(column.categories) == MOST_VALUES
    assert column.categories[0].name == "v90"
    assert column.categories[-1].name == "(other)"
    assert [each.color for each in column.categories] == [*range(8), *[None] * (MOST_VALUES - 8)]
    assert sum(each.count for each in column.categories) == 300 == len(column.of)


def test_a_value_that_is_called_like_null_or_the_rest_is_a_value_of_its_own() -> None:
    rows = made_rows(300)
    values = [f"v{number:02}" for number in range(70)]
    rows.labels[0][:] = [None] * 20 + ["(none)"] * 10 + ["(other)"] * 30 + values * 3 + values[:30]
    [column] = made_points(rows).columns
    counts = [(each.name, each.count) for each in column.categories]
    assert counts[0] == ("(other)", 30)
    assert counts[1] == ("(none)", 10)
    assert column.categories[1].color == 1
    assert counts.count(("(none)", 20)) == 1
    assert column.categories[counts.index(("(none)", 20))].color is None
    assert counts[-1][0] == "(other)"
    assert sum(count for _, count in counts) == 300
    assert [Counter(column.of)[number] for number in range(len(counts))] == [n for _, n in counts]

    [column] = made_points(rows, "(none)").columns
    assert [(each.name, each.count) for each in column.categories if each.color == 0] == [
        ("(none)", 10)
    ]
    rows.labels[0][20:30] = ["other"] * 10
    [column] = made_points(rows, "(none)").columns  # a name for NULL, if there is no such value
    assert column.categories[0].count == 20


def test_highlighted_values_have_the_colors_in_their_order() -> None:
    [column] = made_points(made_rows(30), "value 7", "value 3").columns
    colored = [each.name for each in column.categories if each.color is not None]
    assert colored == ["value 7", "value 3"]


# --- the picture ----------------------------------------------------------------------------------


def test_the_picture_is_xml_with_a_dot_for_each_row(drawn: Project) -> None:
    root = ElementTree.parse(drawn.folder / "map.svg").getroot()
    dots = "".join(path.get("d", "") for path in root.iter(f"{SVG}path"))
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]

    assert dots.count("M") == len(ON_MAP)
    title = root.findtext(f"{SVG}title") or ""
    assert title.lower() == "tickets_embedded by category"
    assert texts[0] == title
    assert "<b>card</b> 10" in texts  # in the legend
    assert "<b>card</b>" in texts  # on the map
    assert "Colored by" in (root.findtext(f"{SVG}desc") or "")
    width, height = (float(root.get(side, "0")) for side in ("width", "height"))
    for path in root.iter(f"{SVG}path"):
        for dot in path.get("d", "").split("h0")[:-1]:
            x, y = map(float, dot[1:].split(" "))
            assert 0 < x < width
            assert 0 < y < height


def test_page_and_picture_load_nothing_and_the_picture_has_colors_for_light_and_dark() -> None:
    drawn_points = made_points(made_rows(50))
    assert "http://" not in page(drawn_points)
    assert "https://" not in page(drawn_points)
    drawn_picture = picture(drawn_points)
    light, _, dark = drawn_picture.partition("@media (prefers-color-scheme:dark)")
    assert all(color in light for color in LIGHT)
    assert all(color in dark for color in DARK)
    assert "http" not in drawn_picture.replace("http://www.w3.org/2000/svg", "")


def test_a_hostile_title_and_value_are_text_in_the_picture() -> None:
    rows = made_rows(20)
    rows.labels[0][:] = ["</text><script>alert(1)</script>\x00 ]]>"] * 20
    drawn_picture = picture(points(rows, pca(rows.vectors), "<&\x07\"'>", ()))
    root = ElementTree.fromstring(drawn_picture)
    assert root.findtext(f"{SVG}title") == "<&\N{REPLACEMENT CHARACTER}\"'>"
    assert not list(root.iter(f"{SVG}script"))


def test_the_names_in_the_picture_do_not_overlap() -> None:
    rows = made_rows(400, labels=8)
    root = ElementTree.fromstring(picture(made_points(rows)))
    names = [each for each in root.iter(f"{SVG}text") if each.get("class") == "name"]
    places = [(float(each.get("x", "0")), float(each.get("y", "0"))) for each in names]
    assert len(places) == 8
    for (x, y), (other_x, other_y) in combinations(places, 2):
        assert abs(y - other_y) >= 16 or abs(x - other_x) > 50  # 50 pixels are 7 letters


def test_the_readme_s_picture_is_small_and_has_every_definition() -> None:
    file = ROOT / "docs" / "assets" / "demo-map.svg"
    assert file.stat().st_size <= 150_000
    root = ElementTree.parse(file).getroot()
    assert root.get("width") == "800"
    dots = "".join(path.get("d", "") for path in root.iter(f"{SVG}path"))
    assert dots.count("M") == 2_000


# --- the page, in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Chromium of this machine, with its log of the console and of the network."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("chromium and chromedriver are not installed; .ci/run installs them")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,700"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(str(programs[1]))
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()


# A copy of the canvas: reading the page's own makes Chromium warn on the console.
COPY = """(() => {
  const canvas = document.getElementById('map'), copy = document.createElement('canvas');
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const pen = copy.getContext('2d', {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0);
  return pen;
})()"""


class Opened(NamedTuple):
    browser: WebDriver

    def do(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - JavaScript's own
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 20).until(lambda _: self.do(f"return {condition}"))

    def settle(self) -> None:
        """Wait until the next picture is drawn."""
        self.browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def element(self, id_: str) -> Any:  # noqa: ANN401
        return self.browser.find_element("id", id_)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()
        self.settle()

    def point_at(self, index: int) -> None:
        """Move the mouse over a point."""
        from selenium.webdriver import ActionChains

        x, y = self.do("return tfEmbeddingsMap.screen(arguments[0])", index)
        canvas = self.element("map")
        left, top = canvas.size["width"] / 2, canvas.size["height"] / 2
        chain = ActionChains(self.browser)
        chain.move_to_element_with_offset(canvas, round(x - left), round(y - top)).perform()
        self.settle()

    def colors(self) -> list[str]:
        """Return the color of the canvas where each point is."""
        return self.do(
            f"const pen = {COPY}; const ratio = tfEmbeddingsMap.state.ratio;"
            "return tfEmbeddingsMap.data.keys.map((_, i) => {"
            "  const [x, y] = tfEmbeddingsMap.screen(i);"
            "  return [...pen.getImageData(x * ratio, y * ratio, 1, 1).data].join();"
            "})"
        )

    def painted(self) -> int:
        """Return how many pixels of the canvas are not transparent."""
        return self.do(
            f"const pen = {COPY};"
            "const {data} = pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height);"
            "let count = 0; for (let i = 3; i < data.length; i += 4) count += data[i] > 0;"
            "return count"
        )

    def find(self, words: str) -> None:
        self.element("search").clear()
        self.element("search").send_keys(words)
        self.settle()


@pytest.fixture
def opened(browser: WebDriver, tmp_path: Path) -> Iterator[Opened]:
    """A page of 60 points, twelve of each value: open, and without a fault when a test ends."""
    texts = [f"text number {number}" for number in range(60)]
    texts[: len(HOSTILE)] = HOSTILE
    rows = made_rows(60, texts, labels=5)
    two = Rows(
        rows.keys,
        rows.texts,
        [rows.labels[0], [f"<i>{number % 2}</i>" for number in range(60)]],
        rows.vectors,
        ("id", "body", ("category", "lang")),
        (),
    )
    file = tmp_path / "map.html"
    drawn_points = points(two, pca(two.vectors), "A <title> & more", ())
    file.write_text(page(drawn_points), encoding="utf-8")
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(file.as_uri())
    found = Opened(browser)
    found.wait("window.tfEmbeddingsMap !== undefined")
    found.settle()
    yield found
    assert browser.get_log("browser") == []  # nothing on the console
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def test_every_point_is_drawn_in_the_color_of_its_value(opened: Opened) -> None:
    assert opened.painted() > 60 * 20
    colors = opened.colors()
    assert "0,0,0,0" not in colors
    # A name or a neighbor lies over some of the points.
    usual = [Counter(colors[value::5]).most_common(1)[0] for value in range(5)]
    assert all(times >= 8 for _, times in usual)
    assert len({color for color, _ in usual}) == 5


def test_a_hostile_text_stays_text(opened: Opened) -> None:
    assert opened.browser.title == "A <title> & more"
    assert opened.do("return document.querySelectorAll('script').length") == 2
    texts = opened.do("return tfEmbeddingsMap.data.texts")
    assert texts[0] == HOSTILE[0]
    assert texts[1] == HOSTILE[1]
    assert opened.element("map").accessible_name == "A <title> & more: a map of 60 texts"


def test_hovering_shows_the_text_and_the_values(opened: Opened) -> None:
    assert not opened.element("tip").is_displayed()
    opened.point_at(0)
    tip = opened.element("tip")
    assert tip.is_displayed()
    shown = opened.do("return tfEmbeddingsMap.state.hovered")
    text = opened.do("return tfEmbeddingsMap.data.texts[arguments[0]]", shown)
    assert shown == 0
    assert tip.text.splitlines()[0] == text
    assert "category: value 0" in tip.text
    assert "lang: <i>0</i>" in tip.text
    assert "id key-000000" in tip.text


def test_a_search_marks_its_hits_and_lists_them(opened: Opened) -> None:
    before = opened.colors()
    opened.find("NUMBER 4")
    # Each word is in the text, the key or a value; the first texts are hostile ones.
    hits = [row for row in range(len(HOSTILE), 60) if "4" in str(row) or row % 5 == 4]
    assert opened.do("return [...tfEmbeddingsMap.state.hits]") == hits
    assert opened.element("count").text == f"{len(hits)} matches"
    assert len(opened.element("list").find_elements("tag name", "button")) == len(hits)
    after = opened.colors()
    faded = [row for row in range(60) if after[row] != before[row]]
    assert len([row for row in faded if row not in hits]) > 25
    opened.find("no such words")
    assert opened.element("count").text == "0 matches"
    from selenium.webdriver import Keys

    opened.press(Keys.ESCAPE)
    assert opened.do("return tfEmbeddingsMap.state.hits") is None
    assert not opened.element("hits").is_displayed()


def test_a_result_can_be_chosen(opened: Opened) -> None:
    from selenium.webdriver import Keys

    opened.find("number 41")
    opened.press(Keys.ENTER)
    assert opened.do("return tfEmbeddingsMap.state.chosen") == 41
    assert opened.element("tip").text.startswith("text number 41")
    assert "text number 41" in opened.element("spoken").get_property("textContent")


def test_another_column_colors_the_points(opened: Opened) -> None:
    from selenium.webdriver.support.ui import Select

    before = opened.colors()
    Select(opened.element("color")).select_by_visible_text("lang")
    opened.settle()
    assert opened.colors() != before
    names = [each.text for each in opened.browser.find_elements("css selector", "#values .name")]
    assert names == ["<i>0</i>", "<i>1</i>"]


def test_a_value_can_be_hidden(opened: Opened) -> None:
    before = opened.painted()
    buttons = opened.browser.find_elements("css selector", "#values button")
    buttons[0].click()
    opened.settle()
    assert opened.painted() < before
    assert buttons[0].get_attribute("aria-pressed") == "false"
    assert opened.do("return [...tfEmbeddingsMap.state.hidden]") == [0]


def test_the_keyboard_goes_from_point_to_point(opened: Opened) -> None:
    from selenium.webdriver import Keys

    for _ in range(10):  # past the header's controls
        if opened.do("return document.activeElement.id") == "map":
            break
        opened.press(Keys.TAB)
    assert opened.do("return document.activeElement.id") == "map"
    opened.press(Keys.ARROW_RIGHT)
    first = opened.do("return tfEmbeddingsMap.state.chosen")
    assert first >= 0
    opened.press(Keys.ARROW_LEFT)
    second = opened.do("return tfEmbeddingsMap.state.chosen")
    x = opened.do("return tfEmbeddingsMap.data.x")
    assert x[second] < x[first]
    assert opened.element("tip").is_displayed()
    text = opened.do("return tfEmbeddingsMap.data.texts[arguments[0]]", second)
    said = opened.element("spoken").get_property("textContent")
    assert said.startswith(text or "No text")

    before = opened.do("return tfEmbeddingsMap.state.scale")
    opened.press("+")
    assert opened.do("return tfEmbeddingsMap.state.scale") > before
    opened.press("0")
    assert opened.do("return tfEmbeddingsMap.state.scale") == pytest.approx(before)
    opened.press(Keys.ESCAPE)
    assert opened.do("return tfEmbeddingsMap.state.chosen") == -1
    assert not opened.element("tip").is_displayed()
    opened.press("/")
    assert opened.do("return document.activeElement.id") == "search"


def test_the_wheel_zooms_at_the_pointer_and_dragging_moves(opened: Opened) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    canvas = opened.element("map")
    before = opened.do("return {...tfEmbeddingsMap.state}")
    origin = ScrollOrigin.from_element(canvas)
    ActionChains(opened.browser).scroll_from_origin(origin, 0, -300).perform()
    opened.wait(f"tfEmbeddingsMap.state.scale > {before['scale']}")
    zoomed = opened.do("return {...tfEmbeddingsMap.state}")
    chain = ActionChains(opened.browser).move_to_element(canvas).click_and_hold()
    chain.move_by_offset(60, 30).release().perform()
    opened.settle()
    moved = opened.do("return {...tfEmbeddingsMap.state}")
    assert moved["left"] - zoomed["left"] == pytest.approx(60, abs=2)
    assert moved["top"] - zoomed["top"] == pytest.approx(30, abs=2)
    opened.element("whole").click()
    opened.settle()
    assert opened.do("return tfEmbeddingsMap.state.left") == pytest.approx(before["left"])


def test_light_and_dark_have_colors_of_their_own(opened: Opened) -> None:
    def paper() -> str:
        return opened.do("return getComputedStyle(document.body).backgroundColor")

    opened.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "light"}]},
    )
    opened.settle()
    light, point = paper(), opened.colors()
    opened.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    opened.settle()
    assert paper() != light
    assert opened.colors() != point
    opened.element("theme").click()
    opened.settle()
    assert paper() == light
    opened.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


# --- the script -----------------------------------------------------------------------------------


def test_the_script_itself_runs_and_says_what_it_takes(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "map_embeddings.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--model MODEL" in done.stdout
