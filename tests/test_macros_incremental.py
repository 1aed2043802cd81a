"""The README's recipe: a user's own incremental model that embeds again when the pin changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import load_artifact
from duckdb_projects import Project, make_project, stage
from makers import Artifact, write_artifact

RECIPE = """
{{ config(materialized='incremental', unique_key='id') }}

select
  id,
  body,
  {{ tf_embeddings.embed('body') }} as embedding,
  {{ tf_embeddings.embedding_version() }} as model_version
from main.texts
{% if is_incremental() %}
  where not exists (
    select 1
    from {{ this }} as embedded
    where
      embedded.id = texts.id
      and embedded.body is not distinct from texts.body
      and embedded.model_version = {{ tf_embeddings.embedding_version() }}
  )
{% endif %}
"""


@pytest.fixture
def project(tiny: Artifact, tmp_path: Path) -> Project:
    project = make_project(
        tmp_path / "project", artifacts=[tiny], files={"models/embedded.sql": RECIPE}
    )
    project.execute("create table texts as from (values (1, 'fox'), (2, 'dog')) as t(id, body)")
    return project


def newer(
    tiny: Artifact, litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path
) -> Artifact:
    """The same model not normalized: another version of it, with other vectors."""
    version = "v" + "0" * 11 + "1"
    assert version != tiny.version
    return write_artifact(
        *litert_tokens_model, tmp_path / "newer", model=tiny.model, normalize=False, version=version
    )


def run(project: Project) -> int:
    """Run dbt; return how many rows were embedded."""
    before = set(project.rows("select * from embedded")) if has_run(project) else set()
    done = project.dbt("run")
    assert done.success, done.errors
    return len(set(project.rows("select * from embedded")) - before)


def has_run(project: Project) -> bool:
    tables = project.rows("select table_name from duckdb_tables()")
    return ("embedded",) in tables


def test_only_new_and_changed_rows_are_embedded(project: Project) -> None:
    assert run(project) == 2
    assert run(project) == 0

    project.execute("insert into texts values (3, 'horse')")
    assert run(project) == 1

    project.execute("update texts set body = 'lazy dog' where id = 2")
    assert run(project) == 1
    assert project.rows("select count(*) from embedded") == [(3,)]


def test_a_changed_pin_embeds_all_rows_again_and_mixes_no_versions(
    project: Project,
    tiny: Artifact,
    litert_tokens_model: tuple[Path, dict[str, Any]],
    tmp_path: Path,
) -> None:
    upgrade = newer(tiny, litert_tokens_model, tmp_path)
    run(project)
    assert project.rows("select distinct model_version from embedded") == [(tiny.version,)]

    project.pin(tiny=stage(project, upgrade))
    assert run(project) == 2
    assert project.rows("select distinct model_version from embedded") == [(upgrade.version,)]
    expected = load_artifact(upgrade).embed(["fox"]).embeddings[0]
    [(embedding,)] = project.rows("select embedding from embedded where id = 1")
    assert embedding == pytest.approx(expected.tolist(), abs=1e-6)

    project.pin(tiny=stage(project, tiny))
    assert run(project) == 2
    assert project.rows("select distinct model_version from embedded") == [(tiny.version,)]


def test_a_new_build_of_the_same_version_embeds_nothing_again(
    project: Project,
    tiny: Artifact,
    litert_tokens_model: tuple[Path, dict[str, Any]],
    tmp_path: Path,
) -> None:
    rebuilt = write_artifact(
        *litert_tokens_model, tmp_path / "rebuilt", model=tiny.model, with_runtime=True
    )
    assert (rebuilt.version, rebuilt.build != tiny.build) == (tiny.version, True)
    run(project)

    project.pin(tiny=stage(project, rebuilt))
    assert run(project) == 0
