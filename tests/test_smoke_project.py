"""The project of the smoke suites, on the version of dbt that all other tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Saved
from smoke_project import make_artifacts, make_smoke_project
from tf_embeddings_udf import Embedder


@pytest.mark.parametrize("engine", ["duckdb", "snowflake"])
def test_all_of_the_package_builds_twice_without_a_warning(
    request: pytest.FixtureRequest,
    litert_tokens_model: Saved,
    tiny_embedder: Embedder,
    tmp_path: Path,
    engine: str,
) -> None:
    project = make_smoke_project(
        tmp_path / "project",
        request.getfixturevalue("local_snowflake") if engine == "snowflake" else None,
        artifacts=make_artifacts(litert_tokens_model, tmp_path),
        embedder=tiny_embedder,
    )
    for _ in range(2):
        run = project.dbt("--warn-error", "build", "--show-all-deprecations")

        assert run.success, run.errors
        assert len(run.statuses) > 30
        assert set(run.statuses.values()) <= {"success", "pass"}


def test_no_module_here_is_taken_for_a_plugin_of_dbt() -> None:
    """What is named `dbt_*` on the path, dbt imports as a plugin of its own."""
    assert not list(Path(__file__).parent.glob("dbt_*.py"))
