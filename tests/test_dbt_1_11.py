"""A smoke suite on dbt 1.11, in an environment of its own that `make test-dbt-1.11` installs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Saved
from makers import Artifact
from smoke_project import (
    COLUMNS,
    OPERATIONS,
    SCRIPT,
    Smoke,
    environment_of,
    make_artifacts,
    make_demo,
    make_smoke_project,
    public_in,
    put_unused,
)
from snowflake_projects import LocalSnowflake, SnowflakeProject
from tf_embeddings_udf import Embedder

PROGRAMS = environment_of("1.11") / "bin"


@pytest.fixture(scope="module")
def artifacts(
    litert_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory
) -> list[Artifact]:
    return make_artifacts(litert_tokens_model, tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module", params=["duckdb", "snowflake"])
def smoke(
    request: pytest.FixtureRequest,
    artifacts: list[Artifact],
    tiny_embedder: Embedder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Smoke:
    """The small project, built once; one of its models was staged by the CLI."""
    folder = tmp_path_factory.mktemp(request.param) / "project"
    tiny, prefixed = artifacts
    on_snowflake = request.param == "snowflake"
    project = make_smoke_project(
        folder,
        request.getfixturevalue("local_snowflake") if on_snowflake else None,
        artifacts=[prefixed],
        embedder=tiny_embedder,
    )
    smoke = Smoke(project, PROGRAMS)
    smoke.call("python", SCRIPT, tiny.path, "--write")
    said = smoke.dbt("--warn-error", "build")
    assert "Running with dbt=1.11." in said
    assert_clean(said)
    assert public_in("generic_tests") <= smoke.passed_tests()
    return smoke


def assert_clean(said: str) -> None:
    assert re.search(r"Done\. PASS=[1-9]\d* WARN=0 ERROR=0 SKIP=0 ", said), said


def test_a_second_build_embeds_nothing(smoke: Smoke) -> None:
    before = smoke.stores()
    if isinstance(smoke.project, SnowflakeProject):
        reached = smoke.project.embedded()
        smoke.dbt("run", "--select", "config.materialized:incremental")
        assert smoke.project.embedded() == reached
    assert_clean(smoke.dbt("build"))

    assert len(before) == 8
    assert smoke.stores() == before


def test_each_operation_runs(
    smoke: Smoke, artifacts: list[Artifact], litert_tokens_model: Saved, tmp_path: Path
) -> None:
    put_unused(smoke.project, litert_tokens_model, tmp_path)
    said = smoke.operate()

    assert {name for name, *_ in OPERATIONS} == public_in("operations")
    assert [
        name for name, _, says in smoke.operations if says.format(**artifacts[0].pin()) not in said
    ] == []


def test_it_compiles_and_embeds_as_the_version_that_all_tests_run(smoke: Smoke) -> None:
    """The same SQL, so the same functions; and the same rows and vectors."""
    shutil.rmtree(smoke.project.folder / "target")
    smoke.dbt("compile")
    compiled = smoke.compiled()
    rows = {table: smoke.rows(table) for table in COLUMNS}
    stores = smoke.stores()
    shutil.rmtree(smoke.project.folder / "target")
    run = smoke.project.dbt("compile")

    assert run.success, run.errors
    assert len(compiled) > 20
    assert smoke.compiled() == compiled

    run = smoke.project.dbt("run")
    assert run.success, run.errors
    assert smoke.stores() == stores

    run = smoke.project.dbt("run", "--full-refresh", "--vars", "tf_embeddings_full_refresh: true")
    assert run.success, run.errors
    assert set(smoke.stores()).isdisjoint(stores)
    for table, before in rows.items():
        after = smoke.rows(table)
        assert [row[:-1] for row in after] == [row[:-1] for row in before], table
        for (*_, vector), (*_, other) in zip(after, before, strict=True):
            if vector is not None:
                np.testing.assert_allclose(vector, other, atol=1e-6)


@pytest.fixture(scope="module")
def demo(minilm: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """A copy of the demo, with MiniLM staged on DuckDB."""
    demo = Smoke(make_demo(tmp_path_factory.mktemp("demo") / "tf_embeddings"), PROGRAMS)
    demo.dbt("--quiet", "deps")
    return demo


@pytest.mark.parametrize("target", ["duckdb", "local_snowflake"])
def test_the_demo_is_built(
    demo: Smoke,
    minilm: Artifact,
    local_snowflake: LocalSnowflake,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCAL_SNOWFLAKE_PORT", str(local_snowflake.port))
    pinned = (demo.project.folder / "dbt_project.yml").read_text("utf-8")
    demo.call("python", SCRIPT, minilm.path, "--write", "--target", target)

    assert (demo.project.folder / "dbt_project.yml").read_text("utf-8") == pinned
    assert_clean(demo.dbt("--warn-error", "build", "--target", target))
