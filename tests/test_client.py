"""The Python client: embeds and searches outside dbt, on DuckDB and on Snowflake."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import duckdb
import numpy as np
import pytest
import tf_embeddings_client
from conftest import load_artifact
from duckdb_projects import Project, make_project
from snowflake.connector import ProgrammingError
from snowflake.connector.cursor import SnowflakeCursor
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from tf_embeddings_client import Client, NoVectorError
from tf_embeddings_udf import Embedder, TfEmbeddingsError

if TYPE_CHECKING:
    from makers import Artifact
    from pages import Finished

SAME_VECTOR = 1e-6
OF_SNOWFLAKE = 1e-4  # documented margin of its VECTOR functions

TEXTS = {
    1: ("en", "the quick brown fox jumps over the lazy dog"),
    2: ("en", "how do i reset my password"),
    3: ("en", "where is my invoice"),
    4: ("de", "where is my horse"),
    5: ("de", ""),
    6: ("de", None),
}
QUESTION = "where is my dog"

TABLE = """
{{ config(materialized='table') }}
select
  id, lang, body, {{ tf_embeddings.embed('body') }} as embedding,
  {{ tf_embeddings.embedding_version() }} as model_version
from {{ ref('docs') }}
"""


def seed() -> str:
    rows = (f"{id_},{lang},{'' if body is None else body}" for id_, (lang, body) in TEXTS.items())
    return "\n".join(["id,lang,body", *rows]) + "\n"


FILES = {"models/docs_embedded.sql": TABLE, "seeds/docs.csv": seed()}


def expected(
    embedder: Embedder, ids: list[int], question: str = QUESTION
) -> list[tuple[int, float]]:
    """Return these rows, nearest to the question first, with cosines computed by NumPy."""
    vectors = embedder.embed([TEXTS[id_][1] for id_ in ids]).embeddings.astype(float)
    asked = embedder.embed([QUESTION]).embeddings[0].astype(float)
    cosines = vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked)
    return sorted(zip(ids, cosines.tolist(), strict=True), key=lambda one: -one[1])


def require_found(
    rows: list[dict[str, Any]], right: list[tuple[int, float]], margin: float = SAME_VECTOR
) -> None:
    assert [row["id"] for row in rows] == [id_ for id_, _ in right]
    cosines = [row["cosine_similarity"] for row in rows]
    np.testing.assert_allclose(cosines, [one for _, one in right], rtol=0, atol=margin)


@pytest.fixture(scope="module")
def project(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(
        tmp_path_factory.mktemp("client") / "project", artifacts=[tiny], files=FILES
    )
    run = made.dbt("build")
    assert run.success, run.errors
    return made


@pytest.fixture(scope="module")
def client(project: Project) -> Client:
    return Client(project.folder)


@pytest.fixture
def connection(project: Project) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(project.database, read_only=True) as opened:
        yield opened


# Embedding.


def test_a_text_has_the_vector_of_the_runtime(client: Client, tiny_embedder: Embedder) -> None:
    right = tiny_embedder.embed(["the fox", "my invoice"]).embeddings
    one, two = client.embed("the fox"), client.embed(["the fox", "my invoice"])
    assert (one.shape, one.dtype, two.shape, two.dtype) == ((8,), "float32", (2, 8), "float32")
    np.testing.assert_allclose(one, right[0], rtol=0, atol=SAME_VECTOR)
    np.testing.assert_allclose(two, right, rtol=0, atol=SAME_VECTOR)
    assert client.embed(text for text in ["the fox"]).shape == (1, 8)
    assert client.embed([]).shape == (0, 8)


@pytest.mark.parametrize(
    ("texts", "positions", "says"),
    [
        (None, (0,), "the text is None, so it has no vector. Give a text with content."),
        (
            "  \n",
            (0,),
            "the text has no content for the model, so it has no vector. Give a text with content.",
        ),
        (
            ["a fox", "", None],
            (1, 2),
            "2 of 3 texts have no vector: text 1 has no content for the model, text 2 is None. "
            "Leave them out.",
        ),
        (
            ["", "", "", "a fox", ""],
            (0, 1, 2, 4),
            "4 of 5 texts have no vector: text 0 has no content for the model, text 1 has no "
            "content for the model, text 2 has no content for the model and 1 more. Leave them "
            "out.",
        ),
    ],
)
def test_a_text_without_content_is_named(
    client: Client, texts: list[str | None] | str | None, positions: tuple[int, ...], says: str
) -> None:
    with pytest.raises(NoVectorError) as error:
        client.embed(texts)
    assert str(error.value) == f"tf_embeddings: {says}"
    assert error.value.positions == positions


def test_what_is_not_a_text_is_named(client: Client) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        client.embed(["a fox", float("nan")])  # pyright: ignore[reportArgumentType]
    assert str(error.value) == ("tf_embeddings: text 1 of 2 is of type float; embed takes texts.")
    for one in (3, b"a fox"):
        with pytest.raises(TfEmbeddingsError) as error:
            client.embed(one)  # pyright: ignore[reportArgumentType]
        assert str(error.value) == (
            f"tf_embeddings: embed got texts of type {type(one).__name__}; it must be a text, or a "
            f"list of texts."
        )


# Searching.


def test_the_nearest_rows_are_found(
    client: Client, connection: duckdb.DuckDBPyConnection, tiny_embedder: Embedder
) -> None:
    rows = client.search(connection, QUESTION, "docs_embedded")
    right = expected(tiny_embedder, [1, 2, 3, 4])
    require_found(rows, right)
    assert list(rows[0]) == ["id", "lang", "body", "cosine_similarity"]
    assert rows[0]["body"] == TEXTS[right[0][0]][1]

    require_found(client.search(connection, QUESTION, "main.docs_embedded", k=2), right[:2])
    of_vector = client.search(connection, client.embed(QUESTION), '"docs_embedded"', columns=["id"])
    require_found(of_vector, right)
    assert list(of_vector[0]) == ["id", "cosine_similarity"]
    least = right[1][1] - SAME_VECTOR
    near = client.search(connection, QUESTION, "docs_embedded", min_similarity=least)
    require_found(near, right[:2])


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"lang": "de"}, [4]),
        ({"lang": ["de", "en"], "id": [1, 4]}, [1, 4]),
        ({"lang": "' or true --"}, []),
        ({"lang": None}, []),
        ({"id": {1, 4}}, [1, 4]),
        ({"id": np.array([1, 4])}, [1, 4]),
        ({"id": np.int64(4)}, [4]),
        ({}, [1, 2, 3, 4]),
    ],
)
def test_where_compares_with_values(
    client: Client,
    connection: duckdb.DuckDBPyConnection,
    tiny_embedder: Embedder,
    where: dict[str, Any],
    ids: list[int],
) -> None:
    rows = client.search(connection, QUESTION, "docs_embedded", where=where)
    require_found(rows, expected(tiny_embedder, ids) if ids else [])


def test_rows_of_other_versions_and_vectors_without_direction_are_left_out(
    client: Client, tiny_embedder: Embedder
) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create table docs (id integer, embedding float[], model_version varchar)"
        )
        vector = tiny_embedder.embed(["where is my horse"]).embeddings[0].tolist()
        for id_, values, version in [
            (1, [0.0] * 8, client.version),
            (2, [float("nan")] * 8, client.version),
            (3, None, client.version),
            (4, vector, client.version),
            (5, vector, "v000000000000"),
            (6, [1.0] * 3, "v000000000000"),
            (7, None, None),
            (8, [None, *vector[1:]], client.version),
        ]:
            connection.execute("insert into docs values (?, ?, ?)", [id_, values, version])
        rows = client.search(connection, QUESTION, "docs")
        require_found(rows, expected(tiny_embedder, [4]))
        connection.execute(
            "create table arrays as from docs select * replace (embedding::float[8] as embedding) "
            "where id <> 6"
        )
        rows = client.search(connection, QUESTION, "arrays")
        require_found(rows, expected(tiny_embedder, [4]))


def test_only_tables_and_views_of_the_catalog_are_read(client: Client, tmp_path: Path) -> None:
    """DuckDB reads a name that it does not know as a file, or as a variable of the program."""
    with duckdb.connect() as connection:
        connection.execute("create table docs as select 1 as id")
        secret = connection.sql(
            f"select 's' as word, [{', '.join('1' * 8)}] as embedding, '{client.version}' as "
            f"model_version"
        )
        secret.write_parquet(str(tmp_path / "secret.parquet"))
        files = [f'"{tmp_path}/secret.parquet"', f'"{tmp_path}/no.csv"', "secret", "secret.parquet"]
        for name in files:
            with pytest.raises(TfEmbeddingsError, match=r"search cannot read table .* not exist"):
                client.search(connection, QUESTION, name)
        secret.create_view("shown")
        connection.execute(
            'create schema others; create table others."a ""b""" as from secret;'
            'create table "order" as from secret'
        )
        for name in ("shown", "memory.shown", 'memory.others."a ""b"""', '"order"'):
            [row] = client.search(connection, QUESTION, name)
            assert row["word"] == "s"
        with pytest.raises(TfEmbeddingsError, match=r"got a name that is a reserved word: .*order"):
            client.search(connection, QUESTION, "order")


def test_a_table_without_rows_of_the_version_is_an_error(client: Client) -> None:
    with duckdb.connect() as connection:
        connection.execute("create table docs (embedding float[8], model_version varchar)")
        assert client.search(connection, QUESTION, "docs") == []
        connection.execute("insert into docs values (null, 'v000000000000'), (null, null)")
        with pytest.raises(TfEmbeddingsError) as error:
            client.search(connection, QUESTION, "docs")
    assert str(error.value) == (
        f"tf_embeddings: none of the 2 rows of docs has model_version = '{client.version}', the "
        f"version of model 'tiny' that the project pins. Build the table again with: dbt build "
        f"--select +docs"
    )


class SnowparkSession:
    """Stands for the class of Snowpark."""

    __module__ = "snowflake.snowpark.session"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"question": " "}, "the text has no content for the model, so it has no vector."),
        ({"question": None}, "the text is None, so it has no vector. Give a text with content."),
        (
            {"question": np.zeros(3)},
            "search got a question of type ndarray and shape (3,); it must be a text, or a vector "
            "of 8 finite numbers, as embed returns it.",
        ),
        ({"question": {}}, "search got a question of type dict; it must be a text, or a vector of"),
        (
            {"table": "nope"},
            "search cannot read table nope: Catalog Error: Table with name nope does not "
            "exist. Name its schema too, as table='schema.name', or build it with: dbt build"
            " --select +nope",
        ),
        (
            {"table": "docs; drop table docs"},
            "search got table 'docs; drop table docs'; it must be a name, such as tickets or "
            "schema.tickets, with double quotes",
        ),
        ({"table": "(select 1)"}, "search got table '(select 1)'; it must be a name"),
        (
            {"columns": ["title"]},
            "search got columns 'title', but table docs_embedded has only: id, lang, body, "
            "embedding, model_version. Name one of these columns.",
        ),
        (
            {"columns": ["id, body"]},
            "search got columns 'id, body'; it must be a name, such as body, with",
        ),
        (
            {"embedding": "vector"},
            "search got embedding 'vector', but table docs_embedded has only: id,",
        ),
        (
            {"version": "version"},
            "search got version 'version', but table docs_embedded has only: id,",
        ),
        (
            {"where": {"title": 1}},
            "search got where 'title', but table docs_embedded has only: id,",
        ),
        (
            {"where": {"lang": []}},
            "search got where={'lang': []}; a list must have values, and no None.",
        ),
        (
            {"where": {"lang": {"a": 1}}},
            "search got where={'lang': {'a': 1}}; it must be a value, a list of values, or None.",
        ),
        ({"where": "id = 1"}, "search got where='id = 1'; it must be a dict of columns and values"),
        (
            {"where": {"id": "one"}},
            "search cannot compare: Conversion Error: Could not convert string 'one' to INT32. In "
            "where, give values of the columns' types, and as embedding a column with vectors",
        ),
        (
            {"where": {"id": object}},
            "search cannot compare: Not implemented Error: Unable to transform python value",
        ),
        ({"embedding": "body"}, "search cannot compare: Conversion Error:"),
        ({"k": 0}, "search got k=0; it must be a whole number from 1 to 1,000,000,000."),
        ({"k": 10**20}, "search got k=100000000000000000000; it must be a whole number from 1 to"),
        *(
            (
                {"columns": columns},
                "search got columns that are not a list of names, or an empty one; write columns="
                "['id'], or leave it out for all.",
            )
            for columns in ([], "id")
        ),
        *(
            (
                {argument: value},
                "search got a name that is a reserved word: Parser Error: syntax error at or near",
            )
            for argument, value in [
                ("columns", ["order"]),
                ("where", {"order": 1}),
            ]
        ),
        (
            {"connection": 1},
            "connection is a int; it must be a connection of duckdb or of snowflake-"
            "connector-python, such as the one in session.connection of a Snowpark session.",
        ),
        ({"connection": duckdb.sql("select 1")}, "connection is a DuckDBPyRelation; it must be a"),
        ({"connection": SnowparkSession()}, "connection is a SnowparkSession; it must be a"),
    ],
)
def test_a_wrong_argument_of_a_search_is_named(
    client: Client, connection: duckdb.DuckDBPyConnection, arguments: dict[str, Any], says: str
) -> None:
    given = {"connection": connection, "question": QUESTION, "table": "docs_embedded", **arguments}
    with pytest.raises(TfEmbeddingsError) as error:
        client.search(**given)
    assert str(error.value).startswith(f"tf_embeddings: {says}")


# Threads and processes.


def test_threads_that_share_a_client_get_their_own_answers(
    client: Client, connection: duckdb.DuckDBPyConnection, tiny_embedder: Embedder
) -> None:
    questions = [body for _, body in TEXTS.values() if body] * 8

    def search(question: str) -> list[dict[str, Any]]:
        return client.search(connection.cursor(), question, "docs_embedded", k=1)

    with ThreadPoolExecutor(8) as threads:
        for question, [row] in zip(questions, threads.map(search, questions), strict=True):
            assert row["body"] == question
            assert row["cosine_similarity"] == pytest.approx(1, abs=SAME_VECTOR)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_embeds_with_its_parents_client(client: Client) -> None:
    before = client.embed(QUESTION)
    with multiprocessing.get_context("fork").Pool(2) as workers:
        found = workers.map_async(client.embed, [QUESTION] * 4).get(timeout=60)
    np.testing.assert_allclose(found, [before] * 4, rtol=0, atol=SAME_VECTOR)


def test_an_app_does_not_load_dbt_or_tensorflow(project: Project) -> None:
    script = f"""
import sys, duckdb
import tf_embeddings_client
from tf_embeddings_client import Client
client = Client({str(project.folder)!r})
with duckdb.connect({str(project.database)!r}, read_only=True) as connection:
    print(client.search(connection, {QUESTION!r}, "docs_embedded", k=1)[0]["id"])
print(sorted({{"dbt", "tensorflow", "pandas", "pyarrow"}} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "udf_src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "[]"


def test_an_app_on_snowflake_needs_only_the_connector_numpy_and_yaml(tmp_path: Path) -> None:
    write(
        tmp_path, dbt_project__yml=f"name: shop\nvars: {{tf_embeddings_models: {{one: {PIN}}}}}\n"
    )
    script = """
import sys, snowflake.connector
others = {"dbt", "duckdb", "pandas", "tokenizers", "ai_edge_litert", "rich"} - sys.modules.keys()
from tf_embeddings_client import Client
Client()
print(sorted(others & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "udf_src")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_cross_encoder_scores_and_an_encoder_embeds(
    tmp_path: Path, tiny: Artifact, ranker: Artifact
) -> None:
    pins = {"tf_embeddings_models": {"ranker": ranker.pin(), "tiny": tiny.pin()}}
    write(tmp_path, dbt_project__yml=json.dumps({"name": "shop", "vars": pins}))
    client = Client(tmp_path, model="ranker", stage=ranker.stage)
    texts = ["the cat sat", "your card was found"]
    pairs = [f"16:where is my card{text}" for text in texts]
    scores = client.rerank("where is my card", texts)

    np.testing.assert_allclose(scores, load_artifact(ranker).embed(pairs).embeddings[:, 0])
    assert (scores.dtype, scores.shape) == (np.float32, (2,))
    with pytest.raises(NoVectorError, match=r"1 of 2 texts have no score: text 1 has no content"):
        client.rerank("card", ["dog", " "])
    with pytest.raises(TfEmbeddingsError, match="'ranker' is a cross-encoder: it scores a query"):
        client.embed("dog")
    encoder = Client(tmp_path, stage=tiny.stage)
    assert encoder.model == "tiny"
    with pytest.raises(TfEmbeddingsError, match="rerank: model 'tiny' is of kind tokens, which"):
        encoder.rerank("card", ["dog"])


# The project.


def write(folder: Path, **files: str) -> Path:
    """Write the project's files; `__` stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


PIN = "{version: v0123456789ab, build: b0123456789ab, dimensions: 8, kind: tokens, packages: []}"
PINS = f"tf_embeddings_models: {{one: {PIN}, two: {PIN}}}"


@pytest.mark.parametrize(
    ("vars_", "model", "says"),
    [
        (
            "{}",
            None,
            "var tf_embeddings_models of project 'shop' has no models. Stage one with "
            "dbt_packages/tf_embeddings/scripts/stage_model.py … --write, which adds its pin "
            "to dbt_project.yml.",
        ),
        (
            f"{{{PINS}}}",
            None,
            "var tf_embeddings_models of project 'shop' has several models (one, two). Pass "
            "model='…', or name one in var tf_embeddings_default_model.",
        ),
        (
            f"{{{PINS}}}",
            "three",
            "model 'three' is not in var tf_embeddings_models of project 'shop' (it has: one,"
            " two). Correct the name, or stage it with "
            "dbt_packages/tf_embeddings/scripts/stage_model.py … --write, which adds its pin to "
            "dbt_project.yml.",
        ),
        (
            f"{{{PINS}, tf_embeddings_default_model: three}}",
            None,
            "var tf_embeddings_default_model is 'three', which is not in var "
            "tf_embeddings_models of project 'shop' (it has: one, two).",
        ),
        (
            "{tf_embeddings_models: {one: {version: 1}}}",
            None,
            "'one' in var tf_embeddings_models of project 'shop' is not a pin: it needs a "
            "version, a build and dimensions. Copy the pin that "
            "dbt_packages/tf_embeddings/scripts/stage_model.py prints.",
        ),
        (f"{{tf_embeddings_models: {{'One; drop': {PIN}}}}}", None, "'One; drop' in var"),
    ],
)
def test_a_project_without_the_pin_is_an_error(
    tmp_path: Path, vars_: str, model: str | None, says: str
) -> None:
    write(tmp_path, dbt_project__yml=f"name: shop\nvars: {vars_}\n")
    with pytest.raises(TfEmbeddingsError) as error:
        Client(tmp_path, model=model)
    assert str(error.value).startswith(f"tf_embeddings: {says}")


def test_a_folder_without_a_project_and_a_broken_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        Client(tmp_path / "nowhere")
    assert str(error.value) == (
        f"tf_embeddings: neither '{tmp_path / 'nowhere'}' nor a folder above it has a "
        f"dbt_project.yml. Give the folder of your dbt project: Client('path/to/my_project')."
    )
    write(tmp_path, dbt_project__yml="vars: [")
    with pytest.raises(TfEmbeddingsError, match=r"dbt_project.yml' is not YAML \("):
        Client(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("password: 'hunter2' hunter2", "expected <block end>, but found '<scalar>' at line 5, co"),
        ("  a: hunter1\n      a: hunter2", "a key occurs twice at line 6, column 7"),
        ("password: *hunter2", "found undefined alias … at line 5, column 15"),
        ("password: !hunter2 x", "could not determine a constructor for the tag … at line 5, "),
        ("password: hunter2: hunter2", "mapping values are not allowed here at line 5, column 22"),
        ("password: !!int hunter2", "a value is not of its type"),
        ("password: !!bool hunter2", "a value is not of its type"),
        ("password: hunter2\0", "a character outside of YAML"),
        ("password: hunter2\udcff", "not UTF-8 at byte 58"),
    ],
)
def test_an_error_in_a_profile_shows_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, reason: str
) -> None:
    """Values of profiles.yml are secrets, and the parser's own text has the line."""
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    write(tmp_path, dbt_project__yml=f"name: shop\nvars: {{{PINS}, {DEFAULT}}}\n")
    profile = f"shop:\n  target: a\n  outputs:\n    a:\n    {line}\n"
    (tmp_path / "profiles.yml").write_bytes(profile.encode(errors="surrogateescape"))
    with pytest.raises(TfEmbeddingsError) as error:
        Client(tmp_path).embed("a fox")
    said = str(error.value)
    assert said.startswith(f"tf_embeddings: '{tmp_path / 'profiles.yml'}' is not YAML ({reason}"), (
        said
    )
    assert "hunter" not in said


def test_a_profile_with_an_anchor_twice_warns_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser's warning has the lines of the file."""
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    write(
        tmp_path,
        dbt_project__yml=f"name: shop\nvars: {{{PINS}, {DEFAULT}}}\n",
        profiles__yml="shop: {outputs: {a: {user: &a x, password: &a hunter2}}}\n",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TfEmbeddingsError, match="is not in the stage folder"):
            Client(tmp_path).embed("a fox")


DEFAULT = "tf_embeddings_default_model: two"


@pytest.mark.parametrize(
    "files",
    [
        {"dbt_project__yml": f"name: shop\nvars: {{{PINS}, {DEFAULT}}}"},
        {"dbt_project__yml": f"name: shop\nvars: {{shop: {{{PINS}}}, {DEFAULT}}}"},
        {"dbt_project__yml": f"name: shop\nvars: {{tf_embeddings: {{{PINS}, {DEFAULT}}}}}"},
        {"dbt_project__yml": "name: shop\n", "vars__yml": f"vars: {{{PINS}, {DEFAULT}}}"},
    ],
    ids=["all packages", "the project", "the package", "vars.yml"],
)
def test_the_default_model_is_found_wherever_vars_may_be(
    tmp_path: Path, files: dict[str, str]
) -> None:
    write(tmp_path / "notebooks")
    write(tmp_path, **files)
    assert Client(tmp_path / "notebooks").model == "two"
    assert Client(tmp_path, model="one").model == "one"
    assert (Client(tmp_path).version, Client(tmp_path).dimensions) == ("v0123456789ab", 8)


PROFILE = """
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev:
      type: duckdb
      plugins:
        - module: other
        - module: tf_embeddings_duckdb
          config: {stage: "STAGE"}
    bare: {type: duckdb}
"""


@pytest.mark.parametrize(
    ("stage", "place"),
    [
        ("models", "models"),
        ("{{ env_var('DBT_PROJECT_DIR', '.') }}/models", "models"),
        ("{{ env_var('SHOP_STAGE') }}", "elsewhere"),
        ("{{ env_var('SHOP_UNSET', 'unset') }}/a", "unset/a"),
        ("{{ flags.PROFILES_DIR }}/models", "profiles/models"),
    ],
)
def test_the_stage_folder_is_the_one_of_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, place: str
) -> None:
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "profiles"))
    monkeypatch.delenv("DBT_TARGET", raising=False)
    monkeypatch.setenv("DBT_PROJECT_DIR", "/somewhere")
    monkeypatch.setenv("SHOP_STAGE", "elsewhere")
    write(tmp_path, dbt_project__yml=f"name: shop\nvars: {{{PINS}, {DEFAULT}}}\n")
    write(tmp_path / "profiles", profiles__yml=PROFILE.replace("STAGE", stage))

    def missing(**arguments: Any) -> str:  # noqa: ANN401
        with pytest.raises(TfEmbeddingsError) as error:
            Client(tmp_path, **arguments).embed("a fox")
        return str(error.value)

    assert missing() == (
        f"tf_embeddings: the artifact of model 'two' (version v0123456789ab, build b0123456789ab) "
        f"is not in the stage folder '{tmp_path / place}' (it does not exist). Stage it with: "
        f"python dbt_packages/tf_embeddings/scripts/stage_model.py two --write"
    )
    assert f"'{tmp_path / 'tf_embeddings_stage'}'" in missing(target="bare")
    assert f"'{tmp_path / 'given'}'" in missing(stage=tmp_path / "given")


@pytest.mark.parametrize(
    ("stage", "arguments", "says"),
    [
        (
            "{{ env_var('SHOP_UNSET') }}",
            {},
            "profiles.yml names the environment variable SHOP_UNSET, which is not set. Set it, or "
            "pass stage='…', the stage folder.",
        ),
        *(
            (jinja, {}, f"only dbt can read '{jinja}' in profiles.yml. Pass stage='…', the stage")
            for jinja in ("{{ target.name }}", "{{ flags.PROJECT_DIR }}/models")
        ),
        (
            "models",
            {"target": "prod"},
            "the profile of project 'shop' has no target 'prod' (it has: dev, bare). Correct "
            "target='…', or leave it out.",
        ),
        ("models", {"stage": ""}, "Client got stage: ''. Give the path of a folder."),
        ("models", {"threads": -1}, "Client got threads: -1. Give a whole number, or 0 for all"),
    ],
)
def test_a_stage_that_cannot_be_read_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    arguments: dict[str, Any],
    says: str,
) -> None:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    write(
        tmp_path,
        dbt_project__yml=f"name: shop\nvars: {{{PINS}, {DEFAULT}}}\n",
        profiles__yml=PROFILE.replace("STAGE", stage),
    )
    with pytest.raises(TfEmbeddingsError) as error:
        Client(tmp_path, **arguments).embed("a fox")
    assert str(error.value).startswith(f"tf_embeddings: {says}")


def test_the_environment_names_the_profile_and_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dbt reads DBT_PROFILE and DBT_TARGET."""
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    write(tmp_path, dbt_project__yml=f"name: shop\nvars: {{{PINS}, {DEFAULT}}}\n")

    def said(**arguments: Any) -> str:  # noqa: ANN401
        with pytest.raises(TfEmbeddingsError) as error:
            Client(tmp_path, **arguments).embed("a fox")
        return str(error.value)

    monkeypatch.setenv("DBT_TARGET", "bare")
    assert f"'{tmp_path / 'tf_embeddings_stage'}'" in said(), "without profiles.yml"
    write(tmp_path, profiles__yml=PROFILE.replace("STAGE", "models"))
    assert f"'{tmp_path / 'tf_embeddings_stage'}'" in said()
    assert f"'{tmp_path / 'models'}'" in said(target="dev")
    monkeypatch.setenv("DBT_TARGET", "prod")
    assert said() == (
        "tf_embeddings: the profile of project 'shop' has no target 'prod' (it has: dev, bare). "
        "Correct DBT_TARGET, or unset it."
    )
    monkeypatch.setenv("DBT_TARGET", "")
    assert f"'{tmp_path / 'models'}'" in said()
    other = PROFILE.replace("shop:", "other:").replace("STAGE", "others")
    write(tmp_path, profiles__yml=PROFILE.replace("STAGE", "models") + other)
    monkeypatch.setenv("DBT_PROFILE", "other")
    assert f"'{tmp_path / 'others'}'" in said()


def test_a_pin_that_differs_from_its_artifact_is_an_error(
    project: Project, tiny: Artifact, tmp_path: Path
) -> None:
    pin = {**tiny.pin(), "dimensions": 9}
    made = make_project(tmp_path / "project")
    made.pin(tiny=pin)
    with pytest.raises(TfEmbeddingsError) as error:
        Client(made.folder, stage=project.stage).embed("a fox")
    assert str(error.value).startswith(
        f"tf_embeddings: the pin of model 'tiny' says version {tiny.version} and 9 dimensions, but "
        f"its artifact {tiny.path.name} has version {tiny.version} and 8 dimensions."
    )


# Snowflake.


@pytest.fixture(scope="module")
def on_snowflake(
    tiny_with_runtime: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
    local_snowflake: LocalSnowflake,
) -> SnowflakeProject:
    made = make_snowflake_project(
        tmp_path_factory.mktemp("client") / "snowflake",
        local_snowflake,
        artifacts=[tiny_with_runtime],
        files=FILES,
    )
    run = made.dbt("build")
    assert run.success, run.errors
    return made


@pytest.mark.parametrize("paramstyle", ["pyformat", "qmark"])
def test_snowflakes_function_embeds_the_question(
    on_snowflake: SnowflakeProject, tiny_embedder: Embedder, paramstyle: str
) -> None:
    client = Client(on_snowflake.folder)
    calls = on_snowflake.embedded()
    with on_snowflake.server.connect(
        database=on_snowflake.name, schema="dev", paramstyle=paramstyle
    ) as connection:
        rows = client.search(connection, QUESTION, "docs_embedded")
        assert on_snowflake.embedded() == calls + 1
        right = expected(tiny_embedder, [1, 2, 3, 4])
        require_found(rows, right, OF_SNOWFLAKE)
        assert list(rows[0]) == ["id", "lang", "body", "cosine_similarity"]

        german = client.search(
            connection,
            tiny_embedder.embed([QUESTION]).embeddings[0],
            "DEV.docs_embedded",
            k=1,
            columns=["id"],
            where={"lang": ["de", "it's 100%s?"], "id": 4},
        )
        require_found(german, expected(tiny_embedder, [4]), OF_SNOWFLAKE)


def test_snowflakes_function_embeds_several_texts(
    on_snowflake: SnowflakeProject, tiny_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf_embeddings_client, "_TEXTS_IN_A_STATEMENT", 2)
    texts = ["the fox and the dog", "it's 50% \\ 'more'", "my invoice"]
    with on_snowflake.server.connect(database=on_snowflake.name) as connection:
        vectors = Client(on_snowflake.folder).embed(texts, connection)
    right = tiny_embedder.embed(texts).embeddings
    np.testing.assert_allclose(vectors, right, rtol=0, atol=SAME_VECTOR)
    assert vectors.dtype == "float32"


def test_a_statement_holds_at_most_so_many_bytes(
    on_snowflake: SnowflakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snowflake refuses a statement of more than 1 MB; the connector doubles quotes."""
    sizes: list[int] = []

    texts = ["fox " + "'" * 150_000, "dog " + "ä" * 75_000, None, "a fox " * 100_000, "a", "dog"]
    with on_snowflake.server.connect(database=on_snowflake.name) as connection:
        execute = SnowflakeCursor.execute

        def measured(self: SnowflakeCursor, command: str, params: Any, **others: Any) -> Any:  # noqa: ANN401
            sizes.append(len(command) + 2 * sum(len(one.encode()) for one in params if one))
            return execute(self, command, params, **others)

        monkeypatch.setattr(SnowflakeCursor, "execute", measured)
        with pytest.raises(NoVectorError, match=r"1 of 6 texts have no vector: text 2 is None"):
            Client(on_snowflake.folder).embed(texts, connection)
    assert [size > 1_000_000 for size in sizes[1:]] == [False, True, False]


def test_a_text_that_was_embedded_here_searches_in_snowflake(
    on_snowflake: SnowflakeProject, tiny_with_runtime: Artifact, tiny_embedder: Embedder
) -> None:
    client = Client(on_snowflake.folder, stage=tiny_with_runtime.stage)
    calls = on_snowflake.embedded()
    with on_snowflake.server.connect(database=on_snowflake.name) as connection:
        rows = client.search(connection, client.embed(QUESTION), "dev.docs_embedded")
    require_found(rows, expected(tiny_embedder, [1, 2, 3, 4]), OF_SNOWFLAKE)
    assert on_snowflake.embedded() == calls


def test_what_is_wrong_in_snowflake_is_said(on_snowflake: SnowflakeProject) -> None:
    client = Client(on_snowflake.folder)
    with on_snowflake.server.connect(database=on_snowflake.name, schema="dev") as connection:
        with pytest.raises(NoVectorError) as blank:
            client.embed(["a fox", None, " "], connection)
        assert blank.value.positions == (1, 2)
        with pytest.raises(
            TfEmbeddingsError, match=r"cannot read table nope: .*NOPE. does not exist"
        ):
            client.search(connection, np.ones(8), "nope")
        with pytest.raises(TfEmbeddingsError) as error:
            client.search(connection, np.ones(8), "docs_embedded", columns=["title"])
        assert str(error.value) == (
            "tf_embeddings: search got columns 'title', but table docs_embedded has only: id, "
            "lang, body, embedding, model_version. Name one of these columns."
        )
        with pytest.raises(TfEmbeddingsError, match=r"search cannot compare: .*one"):
            client.search(connection, np.ones(8), "docs_embedded", where={"id": "one"})
        with closing(connection.cursor()) as cursor:
            cursor.execute(
                "create or replace table others as select 'v' as model_version, null as embedding"
            )
        with pytest.raises(TfEmbeddingsError, match="none of the 1 rows of others has model_ver"):
            client.search(connection, np.ones(8), "others")
    with (
        on_snowflake.server.connect() as connection,
        pytest.raises(TfEmbeddingsError, match=r"the connection has no database. Connect with"),
    ):
        client.embed(QUESTION, connection)


def test_the_newest_of_several_functions_is_called(
    tiny_with_runtime: Artifact, tmp_path: Path, local_snowflake: LocalSnowflake
) -> None:
    """Settings are part of a function's name: a change makes another one beside it."""
    made = make_snowflake_project(
        tmp_path / "project", local_snowflake, artifacts=[tiny_with_runtime]
    )
    made.write("models/a.sql", "select {{ tf_embeddings.embed(\"'hello'\") }} as embedding")
    client = Client(made.folder)
    with local_snowflake.connect(database=made.name) as connection:
        with pytest.raises(TfEmbeddingsError) as error:
            client.embed(QUESTION, connection)
        assert str(error.value).startswith(
            f"tf_embeddings: role ACCOUNTADMIN sees no function of model 'tiny', build "
            f"{tiny_with_runtime.build}, in schema {made.name.upper()}.tf_embeddings. dbt build"
        )

        shown = "show user functions in schema tf_embeddings"
        assert made.dbt("run").success
        [old] = [row[1] for row in made.rows(shown)]
        made.configure(vars={**made.vars(), "tf_embeddings_max_batch_size": 64})
        assert made.dbt("run").success
        [new] = [row[1] for row in made.rows(shown) if row[1] != old]

        client = Client(made.folder)
        before = local_snowflake.counters()["rows"]
        assert len(client.embed(QUESTION, connection)) == 8
        after = local_snowflake.counters()["rows"]
        assert [one.rpartition(".")[2] for one in after if after[one] != before.get(one)] == [new]

        made.execute(f"drop function tf_embeddings.{new}(varchar, boolean)")
        with pytest.raises(ProgrammingError, match=new):
            client.embed(QUESTION, connection)
        assert len(client.embed(QUESTION, connection)) == 8


# The pages.

PAGE = Path(__file__).parents[1] / "docs" / "recipes" / "search-in-an-app.md"


@pytest.fixture(scope="module")
def tickets(finished: Finished) -> Path:
    """The project of the page about apps, with the real MiniLM."""
    return finished("docs/recipes/search-in-an-app.md", 0).project


def test_minilm_gives_the_component_of_the_pages(tickets: Path) -> None:
    client = Client(tickets)
    assert client.embed("hello")[0] == pytest.approx(-0.0627717, abs=SAME_VECTOR)
    assert repr(client) == f"<Client of model 'minilm', version {client.version}>"


def test_the_app_of_the_page_answers(tickets: Path) -> None:
    serve = """
from http.server import ThreadingHTTPServer
from app import Search
server = ThreadingHTTPServer(("127.0.0.1", 0), Search)
print(server.server_port, flush=True)
server.serve_forever()
"""
    udf_src = tickets / "dbt_packages" / "tf_embeddings" / "udf_src"
    with subprocess.Popen(
        [sys.executable, "-c", serve],
        cwd=tickets,
        env={**os.environ, "PYTHONPATH": str(udf_src)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            address = f"http://127.0.0.1:{int(server.stdout.readline())}/?q="

            def ask(question: str) -> list[dict[str, Any]]:
                with urlopen(address + question, timeout=60) as answer:
                    return json.load(answer)

            questions = ["my+card+was+stolen&category=card", "my+card+was+stolen"] * 4
            with ThreadPoolExecutor(4) as threads:

                def require_answers() -> None:
                    answers = threads.map(ask, questions)
                    for first, second in zip(answers, answers, strict=True):
                        assert [row["category"] for row in first] == ["card"] * 5
                        assert [row["id"] for row in first[:2]] == [21, 61]
                        assert [row["id"] for row in second[:3]] == [112, 21, 61]

                require_answers()
                # The copy that the page makes must not be written into the file that is open.
                _, commands = PAGE.read_text(encoding="utf-8").split("```sh\ndbt build\n")
                copy = commands.partition("```")[0]
                before = (tickets / "app.duckdb").stat().st_ino
                subprocess.run(copy, shell=True, cwd=tickets, check=True)
                assert (tickets / "app.duckdb").stat().st_ino != before
                require_answers()
            with pytest.raises(HTTPError) as error:
                ask("++")
            assert (error.value.code, b"no content" in error.value.read()) == (400, True)
        finally:
            server.terminate()
