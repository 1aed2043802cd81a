"""The environment that a run on DuckDB needs: dbt and requirements.txt, without TensorFlow.

`make test` installs it from requirements-light.lock. All that the package does without a model's
source works there: staging an artifact that was made elsewhere, dbt's commands, a search from
Python. What asks for more says what to install.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import bert_folder
import duckdb
import makers
import numpy as np
import pytest
from duckdb_projects import PACKAGE, Project, make_project, stage
from makers import Artifact, golden_of
from tf_embeddings_udf import Embedder

SCRIPT = "dbt_packages/tf_embeddings/scripts/stage_model.py"
INSTALL = "pip install -r dbt_packages/tf_embeddings/requirements-staging.txt"
MOST_BYTES = 700 * 10**6
TEXTS = ["the quick brown fox", "a person on a sunny day", "", None, "where is my invoice"]

Saved = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="session")
def light() -> Path:
    """The folder of the programs of the light environment."""
    programs = Path(sys.prefix) / "light" / "bin"
    if not (programs / "python").is_file():
        pytest.fail(f"{programs / 'python'} is missing: make test installs it")
    return programs


@pytest.fixture(scope="module")
def made_elsewhere(
    litert_tokens_model: Saved, tiny_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """An artifact for LiteRT, as a colleague's machine or CI made it."""
    return makers.write_artifact(
        *litert_tokens_model,
        tmp_path_factory.mktemp("elsewhere"),
        with_runtime=True,
        golden=golden_of(tiny_embedder, [text for text in TEXTS if text]),
    )


@pytest.fixture(scope="module")
def for_tensorflow(
    saved_tokens_model: Saved, tiny_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The same model for the engine that is not here."""
    return makers.write_artifact(
        *saved_tokens_model,
        tmp_path_factory.mktemp("elsewhere"),
        with_runtime=True,
        golden=golden_of(tiny_embedder, [text for text in TEXTS if text]),
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a model that embeds texts; nothing is staged yet."""
    values = ", ".join(
        f"({place}, {'null' if text is None else repr(text)})" for place, text in enumerate(TEXTS)
    )
    return make_project(
        tmp_path / "project",
        files={
            "models/texts.sql": f"select * from (values {values}) as t (id, body)",
            "models/embedded.sql": (
                "select id, {{ tf_embeddings.embed('body') }} as embedding from {{ ref('texts') }}"
            ),
            "models/properties.yml": (
                "models: [{name: embedded, columns: [{name: embedding, data_tests:"
                " [tf_embeddings.embedding_dimension, tf_embeddings.embedding_is_unit_norm]}]}]"
            ),
        },
    )


def call(project: Project, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program in the project's folder, without the path of the tests."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=project.folder, env=environment, capture_output=True, text=True
    )


def dbt(project: Project, light: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(
        project, light / "dbt", "--no-use-colors", *arguments, "--profiles-dir", project.folder
    )


def locked(file: str) -> set[str]:
    """Return what a lock file pins, as `name==version`, with what it is pinned for."""
    lines = (PACKAGE / file).read_text(encoding="utf-8").splitlines()
    return {line.removesuffix(" \\") for line in lines if re.match(r"[a-z0-9-]+==", line)}


def without_marker(pins: set[str]) -> set[str]:
    return {pin.partition(" ;")[0] for pin in pins}


def test_it_has_no_tensorflow(light: Path) -> None:
    code = """
import importlib.metadata, importlib.util, json
names = sorted(one.metadata["Name"].lower() for one in importlib.metadata.distributions())
found = [one for one in ("tensorflow", "tensorflow_hub", "keras") if importlib.util.find_spec(one)]
print(json.dumps([names, found]))
"""
    done = subprocess.run([light / "python", "-I", "-c", code], capture_output=True, check=True)
    names, found = json.loads(done.stdout)

    assert found == []
    assert [name for name in names if "tensor" in name or "keras" in name] == []
    assert {"ai-edge-litert", "dbt-core", "dbt-duckdb", "numpy", "tokenizers"} <= set(names)


def test_it_is_small(light: Path) -> None:
    """With pip and setuptools, which a virtual environment brings, and compiled Python."""
    files = [path for path in light.parent.rglob("*") if path.is_file() and not path.is_symlink()]

    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_its_lock_is_a_part_of_the_others() -> None:
    light, staging, all_ = (
        without_marker(locked(file))
        for file in ("requirements-light.lock", "requirements.lock", "requirements-dev.lock")
    )

    assert light < staging < all_
    assert not any("tensorflow" in pin for pin in light)


def test_an_artifact_that_was_made_elsewhere_is_staged_and_built_and_verified(
    project: Project, light: Path, made_elsewhere: Artifact, tiny_embedder: Embedder
) -> None:
    staged = call(project, light / "python", SCRIPT, made_elsewhere.path, "--write", "--verify")
    built = dbt(project, light, "build")
    verified = dbt(project, light, "run-operation", "tf_embeddings.verify")

    assert staged.returncode == 0, staged.stderr
    assert "tiny is verified.\n" in staged.stderr
    assert "packages: [ai-edge-litert, numpy, tokenizers]\n" in staged.stdout
    assert built.returncode == 0, built.stdout
    assert verified.returncode == 0, verified.stdout
    assert f"tiny {made_elsewhere.version} {made_elsewhere.build}: 3 texts, " in verified.stdout
    assert "LiteRT 2." in verified.stdout
    rows = project.rows("select embedding from embedded order by id")
    expected = tiny_embedder.embed(TEXTS)
    assert [row is not None for (row,) in rows] == expected.valid.tolist()
    for (vector,), other in zip(rows, expected.embeddings, strict=True):
        if vector is not None:
            np.testing.assert_allclose(vector, other, atol=1e-6)


@pytest.mark.exhaustive
def test_the_demo_is_built_from_a_staged_artifact(
    light: Path, minilm: Artifact, tmp_path: Path
) -> None:
    """As in `demo/run.sh`, where the source is an artifact."""
    repository = tmp_path / "tf_embeddings"
    left_out = [".*", "dbt_packages", "logs", "target", "*.duckdb*", "tf_embeddings_stage"]
    shutil.copytree(PACKAGE, repository, ignore=shutil.ignore_patterns(*left_out))
    demo = Project(repository / "demo")
    commands = [
        [light / "dbt", "--quiet", "deps"],
        [light / "python", SCRIPT, minilm.path, "--write"],
        [light / "dbt", "--no-use-colors", "build"],
        [light / "python", "show_results.py"],
    ]
    done = [call(demo, *command) for command in commands]

    assert [one.returncode for one in done] == [0] * 4, [one.stdout + one.stderr for one in done]
    assert f"build: {minilm.build}\n" in (demo.folder / "dbt_project.yml").read_text("utf-8")
    with duckdb.connect(str(demo.folder / "demo.duckdb"), read_only=True) as connection:
        sql = "select count(*), count(embedding) from embedding_store"
        [(texts, vectors)] = connection.execute(sql).fetchall()
    assert texts == vectors > 1900


def test_a_search_question_is_embedded_where_it_is_asked(
    project: Project, light: Path, made_elsewhere: Artifact, tiny_embedder: Embedder
) -> None:
    """On any connection, outside dbt."""
    stage(project, made_elsewhere)
    code = f"""
import sys
sys.path.insert(0, "dbt_packages/tf_embeddings/udf_src")
import duckdb, json, tf_embeddings_duckdb
connection = duckdb.connect()
tf_embeddings_duckdb.register(connection, stage={str(project.stage)!r})
sql = "select {made_elsewhere.function}('where is my invoice', false).embedding"
vector = connection.execute(sql).fetchone()[0]
print(json.dumps([list(vector), "tensorflow" in sys.modules]))
"""
    done = call(project, light / "python", "-c", code)

    assert done.returncode == 0, done.stderr
    vector, has_tensorflow = json.loads(done.stdout)
    [expected] = tiny_embedder.embed(["where is my invoice"]).embeddings
    np.testing.assert_allclose(vector, expected, atol=1e-6)
    assert not has_tensorflow


@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["--inspect"]])
def test_a_model_from_its_source_says_what_to_install(
    project: Project, light: Path, tmp_path: Path, flags: list[str]
) -> None:
    encoder = bert_folder.make_folder(tmp_path / "my_encoder", pooling="mean")
    sources = [["minilm"], [str(encoder.path), "--name", "mine"]]
    for source in sources if flags == [] else sources[1:]:
        done = call(project, light / "python", SCRIPT, *source, *flags)

        assert done.returncode == 1
        assert re.fullmatch(
            rf"stage_model: the Python package '\w+' is not installed\. Install it with: "
            rf"{re.escape(INSTALL)}",
            done.stderr.splitlines()[-1],
        )


def test_the_catalogue_is_shown(project: Project, light: Path) -> None:
    done = call(project, light / "python", SCRIPT, "--list")

    assert done.returncode == 0, done.stderr
    assert "minilm" in done.stdout


def test_an_artifact_for_tensorflow_is_not_staged_unchecked(
    project: Project, light: Path, for_tensorflow: Artifact
) -> None:
    done = call(project, light / "python", SCRIPT, for_tensorflow.path, "--write")

    assert done.returncode == 1
    assert done.stderr.endswith(
        f"stage_model: the Python package 'tensorflow' is not installed. Install it with: {INSTALL}"
        "\n"
    )
    assert not project.stage.exists()


def test_an_artifact_for_tensorflow_says_what_it_needs_where_it_runs(
    project: Project, light: Path, for_tensorflow: Artifact
) -> None:
    project.pin(tiny=stage(project, for_tensorflow))
    built = dbt(project, light, "build")
    verified = dbt(project, light, "run-operation", "tf_embeddings.verify")

    needs = (
        "tf_embeddings: model 'tiny' needs Python packages that are not installed: tensorflow. "
        f"Install them with: {INSTALL}"
    )
    for done in (built, verified):
        assert done.returncode == 1
        assert needs in " ".join(done.stdout.split())
