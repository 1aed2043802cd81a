"""Vector arithmetic and the search for neighbors on both engines, against NumPy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from duckdb_projects import NAME, Project, make_project
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project

DIMENSIONS = 16
# float32 sums of 16 products.
DUCKDB_TOLERANCE = 1e-5
# The functions may be off by as much: https://docs.snowflake.com/en/sql-reference/functions-vector
SNOWFLAKE_TOLERANCE = 1e-4

# As embed gives a vector, and as Parquet or a Python model gives it back.
ON_DUCKDB = [f"float[{DIMENSIONS}]", "double[]"]

# Nothing is staged: only the version is read.
PIN = {
    "version": "v0123456789ab",
    "build": "b0123456789ab",
    "dimensions": DIMENSIONS,
    "kind": "tokens",
    "packages": ["numpy"],
}

Table = dict[int, np.ndarray | None]


def made_vectors(queries: int, corpus: int, seed: int = 20) -> dict[str, Table]:
    """Return queries from id 1 and a corpus from 100, with ties and vectors without direction."""
    random = np.random.default_rng(seed)

    def table(first: int, rows: int) -> Table:
        return {
            first + row: random.normal(size=DIMENSIONS).astype(np.float32) for row in range(rows)
        }

    vectors = {"queries": table(1, queries), "corpus": table(100, corpus)}
    vectors["queries"][7] = None
    vectors["queries"][8] = np.zeros(DIMENSIONS, np.float32)
    for row in (101, 120, 100 + corpus - 1):
        vectors["corpus"][row] = vectors["queries"][1]
    vectors["corpus"][102] = None
    vectors["corpus"][103] = np.zeros(DIMENSIONS, np.float32)
    vectors["corpus"][104] = np.full(DIMENSIONS, np.nan, np.float32)
    vectors["corpus"][107] = np.array([-np.inf] + [0] * (DIMENSIONS - 1), np.float32)
    return vectors


@pytest.fixture(scope="module", params=[*ON_DUCKDB, "snowflake"])
def kind(request: pytest.FixtureRequest) -> str:
    """DuckDB's type of a vector, or the other engine."""
    return request.param


@pytest.fixture(scope="module")
def tolerance(kind: str) -> float:
    """By how much the engine's arithmetic may be off."""
    return SNOWFLAKE_TOLERANCE if kind == "snowflake" else DUCKDB_TOLERANCE


@pytest.fixture(scope="module")
def vectors(kind: str) -> dict[str, Table]:
    if kind != "snowflake":
        return made_vectors(20, 200)
    # The local Snowflake is slower by the row. With this seed no order of neighbors depends on less
    # than the functions may be off.
    vectors = made_vectors(8, 40, seed=27)
    assert smallest_gap(vectors) > 2 * SNOWFLAKE_TOLERANCE
    return vectors


@pytest.fixture(scope="module")
def project(
    kind: str,
    vectors: dict[str, Table],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project with the tables queries and corpus; it embeds nothing and needs no plugin."""
    folder = tmp_path_factory.mktemp("dbt") / "project"
    if kind == "snowflake":
        return snowflake_project(folder, request.getfixturevalue("local_snowflake"), vectors)
    project = make_project(folder, plugin=False)
    project.pin(minilm=PIN)
    profile = yaml.safe_load((folder / "profiles.yml").read_text(encoding="utf-8"))
    # Settings of DuckDB that turn the order around.
    settings = {"default_order": "desc", "default_null_order": "nulls_first"}
    profile[NAME]["outputs"]["dev"]["settings"] = settings
    project.write_yaml("profiles.yml", profile)
    for name, rows in vectors.items():
        columns = f"id integer, embedding {kind}, model_version varchar"
        project.execute(f"create table {name} ({columns})")
        project.insert(name, [(id_, vector, PIN["version"]) for id_, vector in rows.items()])
    return project


def snowflake_project(
    folder: Path, server: LocalSnowflake, vectors: dict[str, Table]
) -> SnowflakeProject:
    project = make_snowflake_project(folder, server)
    project.pin(minilm=PIN)
    project.execute("create schema dev")
    for name, rows in vectors.items():
        selects = [
            f"select {id_} as id, cast({literal(vector)} as vector(float, {DIMENSIONS})) as "
            f"embedding, '{PIN['version']}' as model_version"
            for id_, vector in rows.items()
        ]
        project.execute(f"create table dev.{name} as {' union all '.join(selects)}")
    return project


def literal(vector: np.ndarray | None) -> str:
    if vector is None:
        return "null"
    components = [str(one) if np.isfinite(one) else f"'{one}'::float" for one in map(float, vector)]
    return f"[{', '.join(components)}]"


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def neighbors(queries: Table, corpus: Table, k: int) -> list[tuple[int, int, int, float]]:
    """The oracle: (query, rank, neighbor, similarity) by comparing every pair in float64."""
    found = []
    for query, vector in sorted(queries.items()):
        if vector is None or not vector.any():
            continue
        # What float32 cannot tell apart is a tie.
        pairs = [
            (-round(cosine(vector, other), 6), id_)
            for id_, other in corpus.items()
            if other is not None and other.any() and np.isfinite(other).all()
        ]
        ranked = sorted(pairs)[:k]
        found += [
            (query, rank, id_, -similarity) for rank, (similarity, id_) in enumerate(ranked, 1)
        ]
    return found


def smallest_gap(vectors: dict[str, Table]) -> float:
    """Return the smallest difference between a query's similarities, except equal vectors'."""
    everything = neighbors(vectors["queries"], vectors["corpus"], len(vectors["corpus"]))
    gaps = [one[3] - other[3] for one, other in pairwise(everything) if one[0] == other[0]]
    return min(gap for gap in gaps if gap != 0)


def as_tuples(rows: list[dict[str, Any]]) -> list[tuple[object, object, object]]:
    return [(row["query_id"], row["neighbor_rank"], row["neighbor_id"]) for row in rows]


def search(project: Project, arguments: str) -> list[dict[str, Any]]:
    sql = f"select * from ({{{{ tf_embeddings.nearest_neighbors({arguments}) }}}}) as found"
    return project.show(f"{sql} order by query_id asc, neighbor_rank asc")


@pytest.mark.parametrize("k", [1, 5, 1000])
def test_neighbors_are_those_of_numpy(
    project: Project, vectors: dict[str, Table], tolerance: float, k: int
) -> None:
    rows = search(project, f"'queries', 'corpus', 'id', 'id', k={k}")
    expected = neighbors(vectors["queries"], vectors["corpus"], k)

    assert as_tuples(rows) == [one[:3] for one in expected]
    np.testing.assert_allclose(
        [row["cosine_similarity"] for row in rows], [one[3] for one in expected], atol=tolerance
    )


def test_ten_neighbors_are_found_if_no_number_is_given(project: Project) -> None:
    rows = search(project, "'queries', 'corpus', 'id', 'id'")

    assert {row["neighbor_rank"] for row in rows} == set(range(1, 11))


def test_equal_vectors_are_ordered_by_id(project: Project, vectors: dict[str, Table]) -> None:
    rows = search(project, "'queries', 'corpus', 'id', 'id', k=3")

    assert as_tuples(rows)[:3] == [(1, 1, 101), (1, 2, 120), (1, 3, max(vectors["corpus"]))]


def test_a_row_without_direction_neither_has_neighbors_nor_is_one(project: Project) -> None:
    rows = search(project, "'queries', 'corpus', 'id', 'id', k=1000")

    assert {7, 8}.isdisjoint(row["query_id"] for row in rows)
    assert {102, 103, 104, 107}.isdisjoint(row["neighbor_id"] for row in rows)


def test_the_same_search_twice_gives_the_same_rows(project: Project) -> None:
    arguments = "'queries', 'corpus', 'id', 'id', k=50"

    assert search(project, arguments) == search(project, arguments)


def test_columns_may_have_any_name_and_relations_any_shape(project: Project) -> None:
    rows = project.show(
        """
        with corpus_as_cte as (
          select 'n' || id as key, embedding as vector, model_version as version from corpus
        )

        select * from (
          {{ tf_embeddings.nearest_neighbors(
            queries='
              select id as question, embedding as q, model_version from queries where id < 3
            ',
            corpus='corpus_as_cte',
            query_id='question',
            corpus_id='key',
            k=1,
            query_embedding='q',
            corpus_embedding='vector',
            corpus_version='version',
          ) }}
        ) as found
        order by query_id asc
        """,
    )

    assert as_tuples(rows)[0] == (1, 1, "n101")
    assert len(rows) == 2


def test_a_search_is_the_whole_of_a_model(
    project: Project, kind: str, vectors: dict[str, Table]
) -> None:
    schema = "dev" if kind == "snowflake" else "main"
    project.write("models/asked.sql", "select * from queries where id < 4")
    project.write(
        "models/found.sql",
        "{{ tf_embeddings.nearest_neighbors(ref('asked'), 'corpus', 'id', 'id', k=2) }}",
    )
    run = project.dbt("build")

    assert run.success, run.errors
    rows = project.rows(
        f"select query_id, neighbor_rank, neighbor_id from {schema}.found "
        "order by query_id, neighbor_rank"
    )
    asked = {id_: vectors["queries"][id_] for id_ in (1, 2, 3)}
    assert rows == [one[:3] for one in neighbors(asked, vectors["corpus"], 2)]
    described = project.rows(f"describe {'table ' if kind == 'snowflake' else ''}{schema}.found")
    assert [row[0].lower() for row in described] == [
        "query_id",
        "neighbor_id",
        "cosine_similarity",
        "neighbor_rank",
    ]


COMMENTED = [
    "-- asked today\\nselect * from {} where id < 4",
    "/* asked; today */ -- by users\\n\\n  select * from {} where id < 4 -- not 4",
    "with few as (select * from {}) select* from few where id < 4\\n-- not 4",
    "(-- asked today\\nselect * from {} where id < 4) as few",
    "-- asked today\\n(select * from {} where id < 4) as few",
]


@pytest.mark.parametrize("query", COMMENTED)
def test_a_query_may_have_comments_around_it(
    project: Project, kind: str, vectors: dict[str, Table], query: str
) -> None:
    if kind == "snowflake":  # It has one more mark of a comment.
        query = query.replace("-- not 4", "// not 4")
    rows = search(project, f"'{query.format('queries')}', 'corpus', 'id', 'id', k=2")

    asked = {id_: vectors["queries"][id_] for id_ in (1, 2, 3)}
    assert as_tuples(rows) == [one[:3] for one in neighbors(asked, vectors["corpus"], 2)]


def test_an_empty_corpus_has_no_neighbors(project: Project) -> None:
    assert search(project, "'queries', 'select * from corpus where false', 'id', 'id'") == []


def test_arithmetic_is_that_of_numpy(
    project: Project, vectors: dict[str, Table], tolerance: float
) -> None:
    [row] = project.show(
        """
        select
          {{ tf_embeddings.cosine_similarity('a.embedding', 'b.embedding') }} as cosine,
          {{ tf_embeddings.inner_product('a.embedding', 'b.embedding') }} as product,
          {{ tf_embeddings.l2_distance('a.embedding', 'b.embedding') }} as distance,
          {{ tf_embeddings.cosine_similarity('a.embedding', 'c.embedding') }} is null as is_null
        from queries as a, corpus as b, corpus as c
        where a.id = 2 and b.id = 110 and c.id = 102
        """,
    )
    a, b = vectors["queries"][2], vectors["corpus"][110]

    assert a is not None
    assert b is not None
    assert row["cosine"] == pytest.approx(cosine(a, b), abs=tolerance)
    assert row["product"] == pytest.approx(float(a @ b), abs=tolerance)
    assert row["distance"] == pytest.approx(float(np.linalg.norm(a - b)), abs=tolerance)
    assert row["is_null"] is True


@pytest.mark.parametrize("kind", ON_DUCKDB, indirect=True)
def test_vectors_of_an_array_and_a_list_compare(project: Project) -> None:
    """Whatever the types of the two, NULL is NULL beside others, and another length an error."""
    arrays = f"select id, cast(embedding as float[{DIMENSIONS}]) as embedding from corpus"
    sql = """
        select
          {{ tf_embeddings.cosine_similarity('a.embedding', 'b.embedding') }} as of_columns,
          {{ tf_embeddings.cosine_similarity('b.embedding', 'a.embedding') }} as of_either,
          {{ tf_embeddings.l2_distance('cast(a.embedding as float[])', '(b.embedding)') }} as apart
        from (ARRAYS) as a, corpus as b
        where a.id = b.id and a.id in (101, 102, 105)
        order by a.id asc
    """
    rows = project.show(sql.replace("ARRAYS", arrays))
    is_null = [[row[name] is None for name in row] for row in rows]
    assert is_null == [[False] * 3, [True] * 3, [False] * 3]
    for row in (rows[0], rows[2]):
        assert list(row.values()) == pytest.approx([1, 1, 0], abs=DUCKDB_TOLERANCE)

    with pytest.raises(RuntimeError, match="list dimensions must be equal"):
        project.show(
            "select {{ tf_embeddings.inner_product('embedding', '[1, 2, 3]') }} from queries"
        )


@pytest.mark.parametrize("kind", ["double[]"], indirect=True)
def test_lists_of_several_lengths_have_not_drifted_but_fail(project: Project) -> None:
    """Their mean would be that of the places that some of them have."""
    mixed = "select embedding from corpus where id in (105, 106) union all select VECTOR"
    drift = "{{ tf_embeddings._drift('of_several', 'of_one') }}"
    for vector in ("[1.0, 2, 3]", "cast([] as double[])", "[null, 1.0]"):
        [row] = project.show(
            f"with of_one as (select embedding from corpus where id = 105), of_several as "
            f"({mixed.replace('VECTOR', vector)}), {drift} select * from tf_embeddings_drift"
        )
        assert row["centroid_distance"] is None
