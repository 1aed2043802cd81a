"""The generic tests on VECTOR columns of the local Snowflake."""

from __future__ import annotations

from typing import Any

import pytest
from makers import Artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project
from test_macros_generic_tests import call_of, properties

# One vector of each kind, as Snowflake writes an ARRAY.
VECTORS = {
    "good": "[0.6, 0.8, 0]",
    "missing": "null",
    "zero": "[0, 0, 0]",
    "long": "[3, 4, 0]",
    "rounded": "[0.6005, 0.8, 0]",
    "nan": "['NaN'::float, 0, 0]",
    "infinite": "['-inf'::float, 0, 0]",
}

TABLE = " union all ".join(
    f"select '{name}' as name, cast({vector} as vector(float, 3)) as embedding"
    for name, vector in VECTORS.items()
)


@pytest.fixture(scope="module")
def project(
    tiny: Artifact,
    local_snowflake: LocalSnowflake,
    tmp_path_factory: pytest.TempPathFactory,
) -> SnowflakeProject:
    """A project with a table of vectors, which embeds nothing."""
    project = make_snowflake_project(tmp_path_factory.mktemp("dbt") / "project", local_snowflake)
    project.pin(tiny=tiny.pin())
    project.execute("create schema dev")
    project.execute(f"create table dev.vectors as {TABLE}")
    project.write("models/all_of_them.sql", "select * from dev.vectors")
    run = project.dbt("run")
    assert run.success, run.errors
    return project


@pytest.mark.parametrize(
    ("test", "rows"),
    [
        (call_of("embedding_dimension", dimensions=3), []),
        ("tf_embeddings.embedding_dimension", [name for name in VECTORS if name != "missing"]),
        ("tf_embeddings.embedding_is_finite", ["infinite", "nan"]),
        ("tf_embeddings.embedding_is_not_zero", ["zero"]),
        # Its length is 1.0003: VECTOR functions may be off by 1e-4, so no tolerance here is less.
        (
            "tf_embeddings.embedding_is_unit_norm",
            ["infinite", "long", "nan", "rounded", "zero"],
        ),
        (
            call_of("embedding_is_unit_norm", tolerance=0.001),
            ["infinite", "long", "nan", "zero"],
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
    found = project.rows(f"select name from {run.relations[id_]} order by name")
    assert [name for (name,) in found] == sorted(rows)
