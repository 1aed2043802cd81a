"""The pages' commands to upgrade a model and for CI, and their baselines: on DuckDB through dbt."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from conftest import load_artifact
from counting import Reached, counted
from duckdb_projects import NAME, Project, Run, make_project
from makers import Artifact, write_artifact
from pages import commands, the_block

SAME_VECTOR = 1e-6
BODIES = [
    *(
        f"the {one} {two}"
        for one in ("fox", "dog", "horse", "person")
        for two in ("is", "my", "do")
    ),
    "how do i reset my password",
    "the fox is",  # a second time
]
FILES = {
    "models/tickets.sql": "{{ config(materialized='view') }}select * from main.raw_tickets",
    "models/tickets_embedded.sql": (
        "{{ tf_embeddings.with_embeddings(ref('tickets'), 'body', ref('embedding_store')) }}"
    ),
    "models/tickets.yml": """
models:
  - name: tickets_embedded
    columns:
      - name: model_version
        data_tests: [tf_embeddings.embedding_version_is_current]
""",
}


@pytest.fixture
def old(litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path) -> Artifact:
    return write_artifact(*litert_tokens_model, tmp_path / "old", model="tickets")


@pytest.fixture
def new(litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path) -> Artifact:
    """The same model with a prefix: different vectors, so a different version."""
    return write_artifact(
        *litert_tokens_model,
        tmp_path / "new",
        model="tickets_next",
        prefix="invoice day ",
        version="v" + "0" * 11 + "1",
    )


@pytest.fixture
def project(old: Artifact, new: Artifact, tmp_path: Path) -> Project:
    """A project after step 1 of the recipe: both models are pinned, the old one is in use."""
    project = make_project(tmp_path / "project", artifacts=[old, new], files=FILES)
    use(project, "tickets")
    project.execute("create table raw_tickets (id integer, body varchar)")
    project.insert("raw_tickets", list(enumerate([*BODIES, *[None] * 100])))
    return project


@pytest.fixture
def reached() -> Iterator[Reached]:
    with counted() as reached:
        yield reached


def use(project: Project, model: str) -> None:
    """Set the default model in dbt_project.yml."""
    content = yaml.safe_load((project.folder / "dbt_project.yml").read_text(encoding="utf-8"))
    project.configure(vars=settings(model, content["vars"]["tf_embeddings_models"]))


def settings(model: str, pins: dict[str, Any]) -> dict[str, Any]:
    return {
        "tf_embeddings_models": pins,
        "tf_embeddings_default_model": model,
        "tf_embeddings_sources": [{"ref": "tickets", "column": "body"}],
    }


def stored(project: Project) -> list[tuple[Any, ...]]:
    return project.rows("select model, count(*) from embedding_store group by model order by model")


def recipe() -> list[list[str]]:
    """Return the guide's commands for the steps 2 and 3, without `dbt`."""
    blocks = [
        the_block("docs/guides/upgrade.md", beginning)
        for beginning in ("dbt run --select embedding_store", "dbt run-operation tf_embeddings.com")
    ]
    texts = [block.text.replace("minilm_64", "tickets_next") for block in blocks]
    return [shlex.split(text.replace("minilm", "tickets"))[1:] for text in texts]


def ci() -> tuple[list[str], list[str]]:
    """Return the recipe's CI command in two parts: its selection, and the vars with the store."""
    block = the_block("docs/recipes/dev-and-ci.md", "dbt build --target ci")
    [command] = commands(block.text.replace("prod.main", f"{NAME}.main"))
    words = shlex.split(command)[1:]
    place = words.index("--vars")
    return words[:place], words[place:]


def dbt(project: Project, *arguments: str) -> Run:
    run = project.dbt(*arguments)
    assert run.success, run.errors
    return run


def assert_uses(project: Project, artifact: Artifact) -> None:
    """Assert that each row has this model's vector, and rows without a text have none."""
    rows = project.rows("select body, embedding, model_version from tickets_embedded order by id")
    assert [body for body, _, _ in rows[: len(BODIES)]] == BODIES
    assert {version for _, _, version in rows[: len(BODIES)]} == {artifact.version}
    vectors = np.array([vector for _, vector, _ in rows[: len(BODIES)]])
    expected = load_artifact(artifact).embed(BODIES).embeddings
    np.testing.assert_allclose(vectors, expected, atol=SAME_VECTOR)
    assert rows[len(BODIES) :] == [(None, None, None)] * 100


def test_a_model_is_built_beside_the_old_one_compared_switched_and_taken_back(
    project: Project, old: Artifact, new: Artifact, reached: Reached
) -> None:
    build_beside, compare = recipe()
    texts = dict.fromkeys(BODIES, 1)
    dbt(project, "build")
    assert reached.take() == texts
    assert_uses(project, old)

    dbt(project, *build_beside)
    assert reached.take() == texts
    dbt(project, "build")
    assert_uses(project, old)

    said = dbt(project, *compare).output
    assert f"In both: {len(texts)} texts" in said
    assert "Mean recall@10 of their nearest neighbors: " in said
    assert reached.take() == {}

    for model, artifact in (("tickets_next", new), ("tickets", old), ("tickets_next", new)):
        use(project, model)
        dbt(project, "build")
        assert_uses(project, artifact)
    assert reached.take() == {}

    project.execute("insert into raw_tickets values (1000, 'where is my invoice')")
    dbt(project, "run", "--full-refresh")
    assert reached.take() == {"where is my invoice": 1}
    assert stored(project) == [("tickets", len(texts)), ("tickets_next", len(texts) + 1)]

    project.configure(vars=settings("tickets_next", {"tickets_next": new.pin()}))
    prune = "{what: [versions], drop: true}"
    dbt(project, "run-operation", "tf_embeddings.prune", "--args", prune)
    assert stored(project) == [("tickets_next", len(texts) + 1)]


def test_ci_defers_to_production_and_copies_its_vectors(
    project: Project, old: Artifact, reached: Reached
) -> None:
    """Production's database is attached under its own name."""
    project.write(
        "models/top.sql", "select count(embedding) as vectors from {{ ref('tickets_embedded') }}"
    )
    dbt(project, "build", "--write-json")  # the state to compare with
    reached.take()
    shutil.copytree(project.folder / "target", project.folder / "prod-artifacts")
    profile = yaml.safe_load((project.folder / "profiles.yml").read_text(encoding="utf-8"))
    dev = profile[NAME]["outputs"]["dev"]
    attach = [{"path": str(project.database), "alias": NAME, "read_only": True}]
    profile[NAME]["outputs"]["ci"] = {
        **dev,
        "path": str(project.folder / "ci.duckdb"),
        "attach": attach,
    }
    project.write_yaml("profiles.yml", profile)

    project.write(
        "models/top.sql", "select sum(len(embedding)) as n from {{ ref('tickets_embedded') }}"
    )
    (changed, store) = ci()
    done = dbt(project, *changed)
    assert [id_ for id_ in done.statuses if id_.startswith("model.")] == [f"model.{NAME}.top"]
    assert reached.take() == {}

    tickets = f"select * from {NAME}.main.raw_tickets union all select 1000, 'a new text'"
    project.write("models/tickets.sql", tickets)
    done = dbt(project, *changed, *store)
    assert done.status("embedding_store") == "success"
    assert reached.take() == {"a new text": 1}
    with duckdb.connect(str(project.folder / "ci.duckdb"), read_only=True) as connection:
        counted = "select count(*), count(distinct model_version) from embedding_store"
        assert connection.execute(counted).fetchall() == [(len(set(BODIES)) + 1, 1)]


def test_vectors_are_compared_with_those_of_the_day_when_the_baseline_was_built(
    project: Project,
) -> None:
    page = "docs/recipes/drift.md"
    project.write("models/tickets_baseline.sql", the_block(page, "is_incremental()").text)
    project.write("models/tickets.yml", the_block(page, "embedding_drift").text)
    dbt(project, "build")
    use(project, "tickets_next")
    done = project.dbt("build")
    [drift] = [status for id_, status in done.statuses.items() if "embedding_drift" in id_]
    assert drift == "fail"
    assert project.rows("select count(*) from tickets_baseline") == [(len(BODIES) + 100,)]


def test_a_golden_seed_fails_when_vectors_change(project: Project) -> None:
    page = "docs/recipes/golden-vectors.md"
    copy = the_block(page, "copy (").text
    dbt(project, "build")
    (project.folder / "seeds").mkdir(exist_ok=True)
    seed = project.folder / "seeds" / "tickets_golden.csv"
    project.execute(copy.replace("seeds/tickets_golden.csv", str(seed)))
    assert len(seed.read_text(encoding="utf-8").splitlines()) == 1 + len(BODIES)

    project.write("models/tickets.yml", the_block(page, "embedding_matches_golden").text)
    assert "pass" in golden_status(dbt(project, "build"))
    use(project, "tickets_next")
    assert "fail" in golden_status(project.dbt("build"))


def golden_status(run: Run) -> list[str]:
    return [status for id_, status in run.statuses.items() if "matches_golden" in id_]
