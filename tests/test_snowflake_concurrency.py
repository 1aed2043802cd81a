"""Runs at the same time, upgrades and rollbacks on Snowflake: no failure, no mixed vectors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_artifact
from duckdb_projects import NAME
from makers import Artifact, write_artifact
from snowflake_projects import LocalSnowflake, SnowflakeProject, make_snowflake_project

pytestmark = pytest.mark.exhaustive

DBT = Path(sys.executable).with_name("dbt")
BODIES = ["the quick brown fox", "the lazy dog", "how do i reset my password"]
SAME_VECTOR = 1e-6

EMBEDDED = """
{{ config(materialized='incremental', unique_key='id') }}

select
  texts.id,
  texts.body,
  {{ tf_embeddings.embed('texts.body') }} as embedding,
  {{ tf_embeddings.embedding_version() }} as model_version
from {{ target.database }}.public.texts
{% if is_incremental() %}
  left join {{ this }} as embedded
    on
      texts.id = embedded.id
      and texts.body = embedded.body
      and embedded.model_version = {{ tf_embeddings.embedding_version() }}
  where embedded.id is null
{% endif %}
"""


@pytest.fixture(scope="module")
def old(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    return write_artifact(*litert_tokens_model, tmp_path_factory.mktemp("old"), with_runtime=True)


@pytest.fixture(scope="module")
def new(
    litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The same model not normalized: another version of it, with other vectors."""
    return write_artifact(
        *litert_tokens_model,
        tmp_path_factory.mktemp("new"),
        with_runtime=True,
        normalize=False,
        version="v" + "0" * 11 + "1",
    )


@pytest.fixture
def project(local_snowflake: LocalSnowflake, tmp_path: Path) -> SnowflakeProject:
    project = make_snowflake_project(
        tmp_path / "project", local_snowflake, files={"models/embedded.sql": EMBEDDED}
    )
    project.execute("create table public.texts (id int, body varchar)")
    rows = ", ".join(f"({place}, '{body}')" for place, body in enumerate(BODIES))
    project.execute(f"insert into public.texts values {rows}")
    return project


def assert_all_rows_are_of(
    artifact: Artifact, project: SnowflakeProject, schema: str = "dev"
) -> None:
    rows = project.rows(f"select body, embedding, model_version from {schema}.embedded order by id")
    assert [body for body, _, _ in rows] == BODIES
    assert {version for _, _, version in rows} == {artifact.version}
    expected = load_artifact(artifact).embed(BODIES).embeddings
    assert np.abs(np.array([vector for _, vector, _ in rows]) - expected).max() < SAME_VECTOR


def start(project: SnowflakeProject, schema: str) -> subprocess.Popen[str]:
    """Start `dbt run` in a process of its own, with a copy of the project, into this schema."""
    copy = project.folder.with_name(schema)
    shutil.copytree(project.folder, copy, symlinks=True)
    profile = project.server.profile(database=project.name, schema=schema)
    SnowflakeProject(copy, project.server, project.name).write_yaml(
        "profiles.yml", {NAME: {"target": "dev", "outputs": {"dev": profile}}}
    )
    return subprocess.Popen(
        [DBT, "run", "--profiles-dir", "."],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_runs_at_once_and_a_run_during_an_upgrade(
    project: SnowflakeProject, old: Artifact, new: Artifact
) -> None:
    pins = {artifact.version: project.put(artifact) for artifact in (old, new)}

    project.pin(tiny=pins[old.version])
    runs = [start(project, "first"), start(project, "second")]
    project.pin(tiny=pins[new.version])
    runs.append(start(project, "upgraded"))
    for run in runs:
        said, _ = run.communicate()
        assert run.returncode == 0, said

    assert_all_rows_are_of(old, project, "first")
    assert_all_rows_are_of(old, project, "second")
    assert_all_rows_are_of(new, project, "upgraded")


def test_an_upgrade_and_its_rollback_embed_again_and_never_mix(
    project: SnowflakeProject, old: Artifact, new: Artifact
) -> None:
    pins = {artifact.version: project.put(artifact) for artifact in (old, new)}

    for artifact in (old, new, old):
        project.pin(tiny=pins[artifact.version])
        run = project.dbt("run")
        assert run.success, run.errors
        assert_all_rows_are_of(artifact, project)

    functions = project.rows("show user functions like 'TF_EMBEDDINGS_%' in schema tf_embeddings")
    assert len(functions) == 2
