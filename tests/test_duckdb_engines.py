"""LiteRT and TensorFlow behind the same DuckDB functions: in one store and one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Saved
from counting import Reached, counted
from duckdb_projects import Project, make_project, stage
from makers import Artifact, golden_of, write_artifact
from tf_embeddings_udf import Embedder

SAME_VECTOR = 1e-6

# The engines sum in a different order. The vectors have length 1.
SAME_ON_BOTH = 1e-5

BODIES = ["the quick brown fox", "a person on a sunny day", "where is my invoice", " ", None]
MODELS = {
    "models/docs.sql": "{{ config(materialized='view') }} select * from main.raw_docs",
    "models/store.sql": "{{ tf_embeddings.embedding_store([{'ref': 'docs', 'column': 'body'}]) }}",
    "models/embedded.sql": (
        "{{ tf_embeddings.with_embeddings(ref('docs'), 'body', ref('store')) }}"
    ),
    "models/embedded.yml": """
models:
  - name: embedded
    columns:
      - name: embedding
        data_tests: [tf_embeddings.embedding_is_unit_norm]
      - name: model_version
        data_tests: [tf_embeddings.embedding_version_is_current]
""",
}
BOTH = """
select
  {{ tf_embeddings.embed('body', model='%s') }} as embedding,
  {{ tf_embeddings.embed('body', model='%s') }} as other_embedding,
from main.raw_docs
"""

# Calls dbt repeatedly, and then prints the loaded modules.
CALL_AND_TELL = """\
import json, sys
from dbt.cli.main import dbtRunner
for arguments in json.loads(sys.argv[1]):
    result = dbtRunner().invoke(["--quiet", *arguments])
    assert result.success, (arguments, result)
print("loaded:", json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture
def reached() -> Iterator[Reached]:
    with counted() as reached:
        yield reached


def embedding_project(folder: Path, *artifacts: Artifact, **models: str) -> Project:
    """A project with texts, the models of this file, and others."""
    files = {**MODELS, **{f"models/{name}.sql": text for name, text in models.items()}}
    project = make_project(folder, artifacts=artifacts, files=files)
    pins = {artifact.model: artifact.pin() for artifact in artifacts}
    default = {"tf_embeddings_default_model": artifacts[0].model}
    project.configure(vars={"tf_embeddings_models": pins, **default})
    project.execute("create table raw_docs (body varchar)")
    project.insert("raw_docs", [(body,) for body in BODIES])
    return project


def in_a_process(project: Project, *calls: list[str]) -> set[str]:
    """Call dbt in its own process, which must print nothing; return the loaded modules."""
    # If this process has loaded TensorFlow, that set a variable, which a child would inherit.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_CPP_")}
    done = subprocess.run(
        [sys.executable, "-c", CALL_AND_TELL, json.dumps(calls)],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return set(json.loads(done.stdout.rpartition("loaded: ")[2]))


def test_a_store_that_was_filled_on_tensorflow_is_current_on_litert(
    tiny_on_tensorflow: Artifact,
    tiny: Artifact,
    tiny_embedder: Embedder,
    reached: Reached,
    tmp_path: Path,
) -> None:
    """Release 0.1 had only TensorFlow: neither an upgrade nor a rollback re-embeds."""
    assert tiny.version == tiny_on_tensorflow.version
    assert tiny.build != tiny_on_tensorflow.build
    project = embedding_project(tmp_path / "project", tiny_on_tensorflow)
    run = project.dbt("build")
    assert run.success, run.errors
    assert reached.take() == {body: 1 for body in BODIES if body is not None}
    stored = set(project.rows("from store"))

    for artifact, new in ((tiny, "the lazy dog"), (tiny_on_tensorflow, "a horse")):
        project.pin(tiny=stage(project, artifact))
        run = project.dbt("build")
        assert run.success, run.errors
        assert reached.take() == {}
        assert set(project.rows("from store")) == stored

        project.insert("raw_docs", [(new,)])
        run = project.dbt("build")
        assert run.success, run.errors
        assert reached.take() == {new: 1}
        assert stored < set(project.rows("from store"))
        stored = set(project.rows("from store"))

    rows = project.rows("select body, embedding from embedded where embedding is not null")
    bodies, vectors = zip(*rows, strict=True)
    assert len(bodies) == 5
    expected = tiny_embedder.embed(bodies).embeddings
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=SAME_ON_BOTH)


def test_dbt_loads_no_tensorflow_for_models_on_litert(
    litert_tokens_model: Saved, tiny_embedder: Embedder, tmp_path: Path
) -> None:
    golden = golden_of(tiny_embedder, ["the quick brown fox", "where is my invoice"])
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage", golden=golden)
    counts = "select {{ tf_embeddings.token_count('body') }} as tokens from main.raw_docs"
    project = embedding_project(tmp_path / "project", artifact, counts=counts)

    loaded = in_a_process(
        project,
        ["build"],
        ["run-operation", "tf_embeddings.verify"],
        ["run-operation", "tf_embeddings.status"],
    )
    assert "ai_edge_litert" in loaded
    assert not loaded & {"tensorflow", "keras", "jax", "torch"}
    assert project.rows("select count(*), count(embedding) from embedded") == [(5, 3)]
    expected = tiny_embedder.count(BODIES[:-1]).token_counts.tolist()
    counted = project.rows("select tokens from counts order by tokens nulls last")
    assert [tokens for (tokens,) in counted] == [*sorted(expected), None]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("on_litert", "on_tensorflow"),
        pytest.param("on_tensorflow", "on_litert", marks=pytest.mark.exhaustive),
    ],
)
def test_both_engines_run_in_one_process(
    litert_tokens_model: Saved,
    saved_tokens_model: Saved,
    tiny_embedder: Embedder,
    tmp_path: Path,
    first: str,
    second: str,
) -> None:
    """In either order: they load the same libraries, and must not disturb each other."""
    texts = [body for body in BODIES if body and body.strip()]
    golden = golden_of(tiny_embedder, texts)
    saved = {"on_litert": litert_tokens_model, "on_tensorflow": saved_tokens_model}
    artifacts = [
        write_artifact(*saved[name], tmp_path / "stage", model=name, golden=golden)
        for name in (first, second)
    ]
    project = embedding_project(tmp_path / "project", *artifacts, compared=BOTH % (first, second))

    loaded = in_a_process(
        project,
        ["run-operation", "tf_embeddings.verify", "--args", f"model: {first}"],
        ["run-operation", "tf_embeddings.verify", "--args", f"model: {second}"],
        ["build"],
    )
    assert {"ai_edge_litert", "tensorflow"} <= loaded
    rows = project.rows("select * from compared where embedding is not null")
    assert len(rows) == len(texts)
    one, other = np.moveaxis(np.array(rows), 1, 0)
    np.testing.assert_allclose(one, other, rtol=0, atol=SAME_ON_BOTH)
