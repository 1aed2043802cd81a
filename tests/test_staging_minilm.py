"""The real MiniLM: its published numbers, its sources, and builds that repeat to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import makers
import numpy as np
import pytest
import tf_embeddings_udf
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


def test_every_component_is_what_sentence_transformers_gives(minilm_embedder: Embedder) -> None:
    assert len(RECORDED["texts"]) >= 20
    outcomes = minilm_embedder.embed(RECORDED["texts"])
    assert np.abs(outcomes.embeddings - np.array(RECORDED["vectors"])).max() < 1e-5
    assert outcomes.token_counts.tolist() == RECORDED["token_counts"]
    too_long = [count > RECORDED["max_tokens"] for count in RECORDED["token_counts"]]
    assert outcomes.is_truncated.tolist() == too_long


def test_the_manifest_says_what_the_model_is(minilm: makers.Artefact) -> None:
    manifest = read_manifest(minilm.path)
    assert (manifest.model, manifest.version) == ("minilm", minilm.version)
    assert (manifest.kind, manifest.dimensions, manifest.max_tokens) == ("tokens", 384, 256)
    assert (manifest.normalize, manifest.licence) == (True, "Apache-2.0")
    assert (manifest.prefix, manifest.model_dimensions) == ("", 384)
    assert manifest.packages == ("numpy", "tensorflow", "tokenizers")
    assert manifest.memory_bytes
    assert manifest.memory_bytes % 2**28 == 0
    assert 2**29 <= manifest.memory_bytes <= 2**31
    assert manifest.source["files"] == ENTRY.digests
    assert tf_embeddings_udf.build_of(minilm.path) == minilm.build


def test_the_version_is_what_it_was_when_the_model_was_first_staged(
    minilm: makers.Artefact,
) -> None:
    """Another version would have everybody embed everything again."""
    assert minilm.version == "v98eb59103c31"


def test_the_golden_vectors_are_what_the_artefact_gives(
    minilm: makers.Artefact, minilm_embedder: Embedder
) -> None:
    with zipfile.ZipFile(minilm.path) as archive:
        golden = json.loads(archive.read("golden.json"))
    assert len(golden["texts"]) >= 8
    outcomes = minilm_embedder.embed(golden["texts"])
    assert np.abs(outcomes.embeddings - np.array(golden["vectors"])).max() < 1e-6
    assert outcomes.token_counts.tolist() == golden["token_counts"]
    assert outcomes.is_truncated.any()


def test_the_zip_holds_nothing_of_the_moment_or_the_machine(minilm: makers.Artefact) -> None:
    with zipfile.ZipFile(minilm.path) as archive:
        entries = archive.infolist()
        text = b"".join(archive.read(name) for name in ("manifest.json", "model/saved_model.pb"))
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert not any("fingerprint" in name or "pycache" in name for name in names)
    assert str(SCRIPTS.parent).encode() not in text
    assert str(Path.home()).encode() + b"/" not in text


def test_another_process_with_an_empty_cache_builds_the_same_files(
    minilm: makers.Artefact, tmp_path: Path
) -> None:
    """The fetched source is taken over, the artefact is not."""
    (source,) = (cache_folder() / "sources").glob("minilm-*")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / source.name).symlink_to(source)
    code = (
        "from pathlib import Path\n"
        "from tf_embeddings_staging.building.build import build\n"
        "from tf_embeddings_staging.catalogue import catalogue\n"
        "from tf_embeddings_staging.progress import Report\n"
        f"print(build(catalogue()['minilm'], 'minilm', Path({str(tmp_path)!r}), Report()).path)\n"
    )
    python_path = os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent / "udf_src")])
    environment = {**os.environ, "PYTHONPATH": python_path, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    again = Path(done.stdout.strip())
    assert tmp_path in again.parents
    assert makers.content_of(again) == makers.content_of(minilm.path)


def test_the_first_numbers_of_its_vectors_are_another_version(
    minilm: makers.Artefact,
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
    assert (manifest.dimensions, manifest.model_dimensions) == (64, 384)

    folder = tf_embeddings_udf.unpack(built.path, tmp_path, model="short", build=built.build)
    texts = ["The weather is lovely today.", "Привет"]
    whole = minilm_embedder.embed(texts).embeddings[:, :64]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    came = tf_embeddings_udf.load(folder).embed(texts).embeddings
    assert np.abs(came - expected).max() < 1e-6


def test_a_second_build_fetches_and_builds_nothing(minilm: makers.Artefact) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache_folder().rglob("*.zip")}
    again = build(ENTRY, "minilm", cache_folder(), Report())
    assert again.build == minilm.build
    assert {path: path.stat().st_mtime_ns for path in cache_folder().rglob("*.zip")} == before
    assert not list((cache_folder() / "work").glob("stage-*/convert.request"))


def test_a_damaged_artefact_in_the_cache_is_not_taken(
    minilm: makers.Artefact, tmp_path: Path
) -> None:
    whole, damaged = tmp_path / minilm.path.name, tmp_path / "minilm-b000000000000.zip"
    damaged.write_bytes(minilm.path.read_bytes()[:-1])
    assert building._cached(tmp_path, "minilm") is None
    assert not damaged.exists()
    whole.hardlink_to(minilm.path)
    assert building._cached(tmp_path, "minilm") == whole
