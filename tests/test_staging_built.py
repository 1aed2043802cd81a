"""An artefact that somebody made is looked at before it is staged as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import makers
import pytest
from graph_makers import Tensor, lengths, save_text
from rich.console import Console
from tf_embeddings_staging.building.build import build, likely_packages
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path / "model"
    return folder, makers.save_text_model(folder)


def stage(artefact: makers.Artefact, cache: Path, *allow_ops: str) -> str:
    """Check an artefact; return what the user reads."""
    console = Console(record=True, width=400)
    source = Built(artefact.path, artefact.model)
    came = build(source, artefact.model, cache, Report(console), Options(allow_ops=allow_ops))
    assert came.path == artefact.path
    return console.export_text()


def refusal(artefact: makers.Artefact, cache: Path) -> str:
    with pytest.raises(StagingError) as error:
        stage(artefact, cache)
    return str(error.value)


def read_a_file(texts: Tensor) -> Tensor:
    import tensorflow as tf

    return lengths(tf.fill(tf.shape(texts), tf.io.read_file("/etc/hostname")))


def test_an_artefact_of_this_release_is_staged_without_a_warning(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    ours = makers.write_artefact(*saved, tmp_path / "stage", with_runtime=True)
    assert "Warning" not in stage(ours, tmp_path / "cache")
    exact = makers.write_artefact(
        *saved, tmp_path / "exact", packages=["numpy==2.1.0", "tensorflow==2.18.1"]
    )
    stage(exact, tmp_path / "cache")


def test_an_artefact_of_another_release_is_staged_with_a_warning(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**makers._runtime_files(), "tf_embeddings_udf/more.py": b"import os"}
    monkeypatch.setattr(makers, "_runtime_files", lambda: files)
    theirs = makers.write_artefact(*saved, tmp_path / "stage", with_runtime=True)
    assert (
        f"Warning: {theirs.path.name} brings Python code that is not this release's; it runs where "
        "the model runs. Stage it only if you trust whoever made it.\n"
    ) in stage(theirs, tmp_path / "cache")


def test_a_graph_that_reaches_out_is_refused_and_may_be_let_in(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, parameters = saved
    evil = save_text(tmp_path / "evil", read_a_file)
    artefact = makers.write_artefact(evil, parameters, tmp_path / "stage")
    assert "reach the network: ReadFile" in refusal(artefact, tmp_path / "cache")
    stage(artefact, tmp_path / "cache", "ReadFile")

    before = makers.write_artefact(folder, parameters, tmp_path / "before", preprocessor=evil)
    assert "reach the network: ReadFile" in refusal(before, tmp_path / "cache")


def test_packages_beyond_those_of_its_kind_are_refused_before_dbt_hears_of_them(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    artefact = makers.write_artefact(
        *saved, tmp_path / "stage", packages=["evil", "numpy", "tensorflow"]
    )
    said = (
        f"SOURCE '{artefact.path.name}' cannot be staged: it asks for the packages evil, numpy, "
        "tensorflow, where its kind needs numpy, tensorflow. Stage the model again from where it "
        "comes from."
    )
    assert refusal(artefact, tmp_path / "cache") == said
    with pytest.raises(StagingError) as error:
        likely_packages(Built(artefact.path, artefact.model), Options())
    assert str(error.value) == said


@pytest.mark.parametrize("name", ["numpy/__init__.py", "sitecustomize.py", "model"])
def test_python_beside_the_runtime_is_refused(
    saved: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(makers, "_runtime_files", lambda: {name: b"import os"})
    artefact = makers.write_artefact(*saved, tmp_path / "stage", with_runtime=True)
    assert refusal(artefact, tmp_path / "cache") == (
        f"SOURCE '{artefact.path.name}' cannot be staged: it holds '{name}', which no artefact "
        "does. Stage the model again from where it comes from."
    )


@pytest.mark.parametrize(
    "overrides",
    [{"kind": "shell"}, {"encoder": {"libraries": ["os"]}}, {"encoder": {"libraries": "os"}}],
)
def test_an_unknown_kind_or_library_is_refused(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path, overrides: dict[str, Any]
) -> None:
    artefact = makers.write_artefact(*saved, tmp_path / "stage", **overrides)
    assert "unknown" in refusal(artefact, tmp_path / "cache")
