"""Vector arithmetic, the search for neighbors and the generic tests on VECTOR columns.

The oracle is that of DuckDB's tests, NumPy; these run on the local Snowflake.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from makers import Artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from test_macros_generic_tests import call_of, properties
from test_macros_vectors import (
    DIMENSIONS,
    TOLERANCE,
    Table,
    as_tuples,
    cosine,
    made_vectors,
    neighbors,
    search,
)

# One vector of each kind, as Snowflake writes an ARRAY.
VECTORS = {
    "good": "[0.6, 0.8, 0]",
    "missing": "null",
    "zero": "[0, 0, 0]",
    "long": "[3, 4, 0]",
    "rounded": "[0.60003, 0.8, 0]",
    "nan": "['NaN'::float, 0, 0]",
    "infinite": "['-inf'::float, 0, 0]",
}

TABLE = " union all ".join(
    f"select '{name}' as name, cast({vector} as vector(float, 3)) as embedding"
    for name, vector in VECTORS.items()
)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Table]:
    return made_vectors(queries=8, corpus=40)


@pytest.fixture(scope="module")
def project(
    vectors: dict[str, Table],
    tiny: Artifact,
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> SnowflakeProject:
    """A project with the tables queries, corpus and vectors, which embeds nothing."""
    project = make_snowflake_project(tmp_path_factory.mktemp("dbt") / "project", local_snowflake)
    project.pin(tiny=tiny.pin())
    version = f"'{tiny.version}' as model_version"
    project.execute("create schema dev")
    for name, rows in vectors.items():
        kind = f"vector(float, {DIMENSIONS})"
        selects = [
            f"select {id_} as id, cast({literal(vector)} as {kind}) as embedding, {version}"
            for id_, vector in rows.items()
        ]
        project.execute(f"create table dev.{name} as {' union all '.join(selects)}")
    project.execute(f"create table dev.vectors as select *, {version} from ({TABLE})")
    project.write("models/all_of_them.sql", "select * from dev.vectors")
    run = project.dbt("run")
    assert run.success, run.errors
    return project


def literal(vector: np.ndarray | None) -> str:
    return "null" if vector is None else str([float(component) for component in vector])


@pytest.mark.parametrize("k", [1, 5, 1000])
def test_neighbors_are_those_of_numpy(
    project: SnowflakeProject, vectors: dict[str, Table], k: int
) -> None:
    rows = search(project, f"'dev.queries', 'dev.corpus', 'id', 'id', k={k}")
    expected = neighbors(vectors["queries"], vectors["corpus"], k)

    assert as_tuples(rows) == [one[:3] for one in expected]
    np.testing.assert_allclose(
        [row["cosine_similarity"] for row in rows], [one[3] for one in expected], atol=TOLERANCE
    )


def test_equal_vectors_are_ordered_by_id(project: SnowflakeProject) -> None:
    rows = search(project, "'dev.queries', 'dev.corpus', 'id', 'id', k=3")

    assert as_tuples(rows)[:3] == [(1, 1, 101), (1, 2, 120), (1, 3, 139)]


def test_a_row_without_direction_neither_has_neighbors_nor_is_one(
    project: SnowflakeProject,
) -> None:
    rows = search(project, "'dev.vectors', 'dev.vectors', 'name', 'name', k=1000")

    assert {row["query_id"] for row in rows} == {"good", "long", "rounded"}
    assert {row["neighbor_id"] for row in rows} == {"good", "long", "rounded"}


def test_columns_may_have_any_name_and_relations_any_shape(project: SnowflakeProject) -> None:
    rows = project.show(
        """
        with corpus_as_cte as (
          select 'n' || id as key, embedding as vector, model_version as version from dev.corpus
        )

        select * from (
          {{ tf_embeddings.nearest_neighbors(
            queries='
              select id as question, embedding as q, model_version from dev.queries where id < 3
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
        order by query_id
        """
    )

    assert as_tuples(rows)[0] == (1, 1, "n101")
    assert len(rows) == 2


def test_a_search_is_the_whole_of_a_model(
    project: SnowflakeProject, vectors: dict[str, Table]
) -> None:
    project.write("models/asked.sql", "select * from dev.queries where id < 4")
    project.write(
        "models/found.sql",
        "{{ tf_embeddings.nearest_neighbors(ref('asked'), 'dev.corpus', 'id', 'id', k=2) }}",
    )
    run = project.dbt("run", "--select", "asked", "found")

    assert run.success, run.errors
    rows = project.rows(
        "select query_id, neighbor_rank, neighbor_id, cosine_similarity "
        "from dev.found order by query_id, neighbor_rank"
    )
    asked = {id_: vectors["queries"][id_] for id_ in (1, 2, 3)}
    expected = neighbors(asked, vectors["corpus"], 2)
    assert [row[:3] for row in rows] == [one[:3] for one in expected]


def test_a_query_may_have_comments_around_it(
    project: SnowflakeProject, vectors: dict[str, Table]
) -> None:
    query = "/* asked */ -- today\\nselect * from dev.queries where id < 4 // not 4"
    rows = search(project, f"'{query}', 'dev.corpus', 'id', 'id', k=2")

    asked = {id_: vectors["queries"][id_] for id_ in (1, 2, 3)}
    assert as_tuples(rows) == [one[:3] for one in neighbors(asked, vectors["corpus"], 2)]


def test_an_empty_corpus_has_no_neighbors(project: SnowflakeProject) -> None:
    arguments = "'dev.queries', 'select * from dev.corpus where false', 'id', 'id'"
    assert search(project, arguments) == []


def test_arithmetic_is_that_of_numpy(project: SnowflakeProject, vectors: dict[str, Table]) -> None:
    [row] = project.show(
        """
        select
          {{ tf_embeddings.cosine_similarity('a.embedding', 'b.embedding') }} as cosine,
          {{ tf_embeddings.inner_product('a.embedding', 'b.embedding') }} as product,
          {{ tf_embeddings.l2_distance('a.embedding', 'b.embedding') }} as distance,
          {{ tf_embeddings.cosine_similarity('a.embedding', 'c.embedding') }} is null as is_null
        from dev.queries as a, dev.corpus as b, dev.corpus as c
        where a.id = 2 and b.id = 110 and c.id = 102
        """
    )
    a, b = vectors["queries"][2], vectors["corpus"][110]

    assert a is not None
    assert b is not None
    assert row["cosine"] == pytest.approx(cosine(a, b), abs=TOLERANCE)
    assert row["product"] == pytest.approx(float(a @ b), abs=TOLERANCE)
    assert row["distance"] == pytest.approx(float(np.linalg.norm(a - b)), abs=TOLERANCE)
    assert row["is_null"] is True


@pytest.mark.parametrize(
    ("test", "rows"),
    [
        (call_of("embedding_dimension", dimensions=3), []),
        ("tf_embeddings.embedding_dimension", [name for name in VECTORS if name != "missing"]),
        ("tf_embeddings.embedding_is_finite", ["infinite", "nan"]),
        ("tf_embeddings.embedding_is_not_zero", ["zero"]),
        ("tf_embeddings.embedding_is_unit_norm", ["infinite", "long", "nan", "zero"]),
        (
            call_of("embedding_is_unit_norm", tolerance=0.00001),
            ["infinite", "long", "nan", "rounded", "zero"],
        ),
    ],
)
def test_a_generic_test_finds_the_wrong_vectors(
    project: SnowflakeProject, test: dict[str, Any] | str, rows: list[str]
) -> None:
    project.write_yaml("models/properties.yml", properties("all_of_them", test))
    run = project.dbt("test", "--select", "all_of_them", "--store-failures")

    [id_] = [id_ for id_ in run.statuses if id_.startswith("test.")]
    assert run.statuses[id_] == ("fail" if rows else "pass"), run.errors
    table = project.manifest()["nodes"][id_]["relation_name"]
    assert [name for (name,) in project.rows(f"select name from {table} order by name")] == sorted(
        rows
    )
