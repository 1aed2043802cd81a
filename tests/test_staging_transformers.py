"""The families of transformers: what Sentence Transformers gives for them, they give here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_embeddings_udf
import transformer_folder
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.conversion.encoder_folder import EncoderFolder, read_encoder_folder
from tf_embeddings_staging.conversion.families import FAMILIES
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "transformers.json").read_text())
CASES: dict[str, dict[str, Any]] = FIXTURE["cases"]
TOLERANCE = 1e-5


def embedded(encoder: EncoderFolder, case: dict[str, Any]) -> np.ndarray:
    """Return the vectors of a case's token ids, from the graph that is converted."""
    import tensorflow as tf
    from tf_embeddings_staging.conversion.transformer import read_weights
    from tf_embeddings_staging.conversion.transformer_graph import Encoder

    weights = read_weights(encoder.config, encoder.weights)
    graph = Encoder(encoder.config, weights, encoder.pooling, encoder.dense)
    ids, mask = (np.array(case[name], np.int32) for name in ("input_ids", "attention_mask"))
    return graph.embed(tf.constant(ids), tf.constant(mask))["embedding"].numpy()


def test_every_family_is_recorded() -> None:
    assert {name.partition("_dense")[0] for name in CASES} == {*FAMILIES}


@pytest.mark.parametrize("name", CASES)
def test_a_family_gives_what_sentence_transformers_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    encoder = read_encoder_folder(transformer_folder.make(tmp_path / "encoder", case))
    vectors = np.array(case["vectors"])

    assert encoder.model.dimensions == vectors.shape[1]
    assert np.ptp(vectors, 0).max() > 0.1  # the texts differ
    assert np.abs(embedded(encoder, case) - vectors).max() < TOLERANCE


@pytest.mark.parametrize("name", ["modernbert", "mpnet", "distilbert"])
def test_its_artifact_runs_on_litert_and_gives_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder = transformer_folder.make(tmp_path / "encoder", case)
    built = build(Local(folder), "mine", tmp_path / "cache", Report())
    unpacked = tf_embeddings_udf.unpack(
        built.path, tmp_path / "unpacked", model=built.model, build=built.build
    )
    embedder = tf_embeddings_udf.load(unpacked)
    vectors = embedder.embed(FIXTURE["texts"]).embeddings

    assert embedder.engine.name == "litert"
    assert np.abs(vectors - np.array(case["vectors"])).max() < TOLERANCE
