"""The real all-mpnet-base-v2, of 438 MB: its published numbers, and Sentence Transformers'."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tf_embeddings_udf
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.progress import Report
from tf_embeddings_udf import Embedder

pytestmark = pytest.mark.exhaustive

ENTRY = catalogue()["mpnet"]
RECORDED = json.loads(
    (Path(__file__).parent / "fixtures/mpnet_sentence_transformers.json").read_text("utf-8")
)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    """The model as `stage_model.py mpnet` makes it; the first time, that takes minutes."""
    artifact = build(ENTRY, "mpnet", cache_folder(), Report())
    folder = tf_embeddings_udf.unpack(
        artifact.path,
        tmp_path_factory.mktemp("mpnet"),
        model=artifact.model,
        build=artifact.build,
    )
    yield tf_embeddings_udf.load(folder)
    shutil.rmtree(folder)


def test_the_published_numbers_come_out(embedder: Embedder) -> None:
    assert ENTRY.known
    assert [cosine for *_, cosine in ENTRY.known.cosines] == [0.778325, 0.608123, 0.390585]
    for one, other, cosine in ENTRY.known.cosines:
        a, b = embedder.embed([one, other]).embeddings
        assert a @ b == pytest.approx(cosine, abs=1e-6)
    (known,) = ENTRY.known.vectors
    (vector,) = embedder.embed([known.text]).embeddings
    assert vector[: len(known.first)] == pytest.approx(known.first, abs=1e-6)


def test_the_vectors_are_those_of_sentence_transformers(embedder: Embedder) -> None:
    outcomes = embedder.embed(RECORDED["texts"])
    expected = np.array(RECORDED["vectors"])
    assert np.abs(outcomes.embeddings[:, : expected.shape[1]] - expected).max() < 1e-5
    assert outcomes.token_counts.tolist() == RECORDED["token_counts"]
    assert outcomes.is_truncated.sum() == 2


def test_the_manifest_says_what_the_model_is(embedder: Embedder) -> None:
    manifest = embedder.manifest
    assert (manifest.kind, manifest.dimensions, manifest.max_tokens) == ("tokens", 768, 384)
    assert (manifest.engine, manifest.normalize) == ("litert", True)
    assert manifest.meaning["weights"]["files"] == ENTRY.digests
