"""The families of transformers: what Sentence Transformers gives for them, they give here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_embeddings_udf
import transformer_folder
from safetensors.numpy import load_file, save_file
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.conversion.encoder_folder import EncoderFolder, read_encoder_folder
from tf_embeddings_staging.conversion.families import FAMILIES
from tf_embeddings_staging.conversion.transformer import read_weights
from tf_embeddings_staging.options import POOLINGS, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local
from tf_embeddings_udf import Embedder

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


def loaded(parent: Path, case: dict[str, Any], options: Options | None = None) -> Embedder:
    """Build a case's artifact, and load it."""
    folder = transformer_folder.make(parent / "encoder", case)
    built = build(Local(folder), "mine", parent / "cache", Report(), options)
    unpacked = tf_embeddings_udf.unpack(
        built.path, parent / "unpacked", model=built.model, build=built.build
    )
    return tf_embeddings_udf.load(unpacked)


def test_every_family_is_recorded() -> None:
    names = {re.sub("_(dense|prompt|truncated).*", "", name) for name in CASES}
    assert names == {*FAMILIES}


def test_every_pooling_is_recorded_with_a_prompt() -> None:
    pooled = {name.removeprefix("bert_prompt_").removesuffix("_tokens") for name in CASES}
    assert {*POOLINGS} <= pooled


@pytest.mark.parametrize("name", CASES)
def test_a_family_gives_what_sentence_transformers_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    encoder = read_encoder_folder(transformer_folder.make(tmp_path / "encoder", case))
    vectors = np.array(case["vectors"])

    came = embedded(encoder, case)
    if encoder.model.normalize:  # Sentence Transformers scales, and truncates then
        came = came / np.linalg.norm(came, axis=1, keepdims=True)
    said = case["files"].get("config_sentence_transformers.json", {"prompts": {"query": ""}})
    assert encoder.model.prefix == said["prompts"]["query"]
    assert encoder.model.dimensions == vectors.shape[1]
    assert np.ptp(vectors, 0).max() > 0.1  # the texts differ
    assert np.abs(came[:, : encoder.model.dimensions] - vectors).max() < TOLERANCE


def test_what_a_folder_keeps_of_a_vector_is_scaled_to_length_1(tmp_path: Path) -> None:
    """Sentence Transformers scales the whole vector, so that what it keeps is shorter."""
    case = CASES["bert_truncated"]
    vectors = np.array(case["vectors"])
    came = loaded(tmp_path, case).embed(FIXTURE["texts"]).embeddings
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.abs(came - scaled).max() < TOLERANCE
    # What is said on the command line goes before the folder, more or less.
    model = read_encoder_folder(tmp_path / "encoder").model
    assert [model.cut_to(said).dimensions for said in (None, 5, 9)] == [7, 5, 9]


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_half_precision_is_read_as_the_same_numbers(name: str, kind: str, tmp_path: Path) -> None:
    """So that the vectors are those of float32, computed with the numbers that were stored."""
    import ml_dtypes

    folder = transformer_folder.make(tmp_path / "encoder", CASES[name])
    file = folder / "model.safetensors"
    halved = {
        key: tensor.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else np.float16)
        for key, tensor in load_file(file).items()
    }
    encoder = read_encoder_folder(folder)
    save_file(halved, file)
    of_half = read_weights(encoder.config, encoder.weights)
    save_file({key: tensor.astype(np.float32) for key, tensor in halved.items()}, file)
    of_float32 = read_weights(encoder.config, encoder.weights)
    for key, tensor in of_float32.items():
        assert of_half[key].dtype == np.float32
        np.testing.assert_array_equal(of_half[key], tensor)


def test_two_dense_in_folders_of_one_name_are_two_files_of_the_version(tmp_path: Path) -> None:
    folder = transformer_folder.make(tmp_path / "encoder", CASES["bert_dense"])
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules[2:]:
        place = folder / module["name"] / "Dense"
        place.parent.mkdir()
        (folder / module["path"]).rename(place)
        module["path"] = str(place.relative_to(folder))
    (folder / "modules.json").write_text(json.dumps(modules))
    read = {*read_encoder_folder(folder).files().values()}

    assert {folder / name / "Dense" / "model.safetensors" for name in "23"} <= read


@pytest.mark.parametrize("name", ["modernbert", "mpnet", "distilbert"])
def test_its_artifact_runs_on_litert_and_gives_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    embedder = loaded(tmp_path, case)
    vectors = embedder.embed(FIXTURE["texts"]).embeddings

    assert embedder.engine.name == "litert"
    assert np.abs(vectors - np.array(case["vectors"])).max() < TOLERANCE
