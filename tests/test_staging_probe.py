"""The probe: an artifact of each kind, run by its own runtime, and how much memory that takes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import encoder_makers
import makers
import numpy as np
import pytest
import tf_embeddings_udf
from encoder_makers import Made
from inspecting import choice_of, find
from tf_embeddings_staging.building.probe import TEXTS, full_batch
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import files_of
from tf_embeddings_staging.model import Model, packages_of
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.process import run
from tf_embeddings_udf.encoders import Encoder, load_encoder

Tensor = Any  # TensorFlow ships no types

MIB = 2**20
DIRECT_TOLERANCE = 1e-6


def inspected(made: Made) -> tuple[Path, Model, Mapping[str, Path]]:
    """Return the folder of a model's graph, what the inspection finds, and the files beside it."""
    (graph,) = made.path.rglob("saved_model.pb")
    flags, values = made.options[::2], made.options[1::2]
    said: dict[str, Any] = {
        flag.removeprefix("--"): value for flag, value in zip(flags, values, strict=True)
    }
    options = Options(**said)
    beside = choice_of(graph.parent, options).extra_files
    return graph.parent, find(graph.parent, options), beside


def parameters_of(found: Model) -> dict[str, Any]:
    """Return what the manifest says of a model."""
    return {
        "kind": found.kind,
        "encoder": dict(found.encoder),
        "dimensions": found.model_dimensions,
        "max_tokens": found.max_tokens,
        "engine": "tensorflow",
        "packages": list(found.packages),
    }


def unpacked(model: Path, parameters: Mapping[str, Any], folder: Path) -> Path:
    """Pack a model with the runtime, and unpack it."""
    artifact = makers.write_artifact(model, parameters, folder / "stage", with_runtime=True)
    return tf_embeddings_udf.unpack(
        artifact.path, folder / "cache", model=artifact.model, build=artifact.build
    )


def encoder_in(folder: Path) -> Encoder:
    return load_encoder(tf_embeddings_udf.read_manifest(folder), folder, threads=1)


def probed(folder: Path, work: Path, texts: list[str]) -> dict[str, Any]:
    return run("probe", {"folder": str(folder), "texts": texts}, work)


@pytest.mark.parametrize(
    "save",
    [
        encoder_makers.save_serving_default_text,
        encoder_makers.save_transformers_saved_model,
        encoder_makers.save_use_lite_module,
    ],
)
def test_a_model_of_each_kind_is_probed(save: Callable[[Path], Made], tmp_path: Path) -> None:
    """Its vectors are those of a direct call, and its tokens those of its own tokenizer."""
    made = save(tmp_path / "made")
    graph, found, beside = inspected(made)
    assert found.kind == made.kind
    model = tmp_path / "model"
    copy_model(graph, beside, model)
    folder = unpacked(model, {**parameters_of(found), "normalize": False}, tmp_path)
    texts = ["elephant", "How old are you?", "a longer text of a few words"]

    answer = probed(folder, tmp_path, texts)
    np.testing.assert_allclose(answer["vectors"], made.direct(texts), rtol=0, atol=DIRECT_TOLERANCE)
    assert answer["ok"] == [True] * 3
    counts = [len(made.tokens(text)) for text in texts] if made.tokens else [None] * 3
    assert answer["token_counts"] == counts
    assert answer["apart"] <= DIRECT_TOLERANCE
    assert answer["memory_bytes"] > 0
    assert answer["measured_with"] == {
        package: importlib.metadata.version(package)
        for package in packages_of(made.kind, "tensorflow")
    }


def copy_model(source: Path, extra: Mapping[str, Path], target: Path) -> None:
    for name, path in {**files_of(source), **extra}.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(path.read_bytes())


@pytest.mark.parametrize("limit", [16, 500, 9000])
def test_a_full_batch_has_texts_as_long_as_the_model_sees(
    saved_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path, limit: int
) -> None:
    model, parameters = saved_tokens_model
    parameters = {**parameters, "max_tokens": limit}
    parameters["encoder"] = {**parameters["encoder"], "max_tokens": limit}
    encoder = encoder_in(unpacked(model, parameters, tmp_path))

    texts = full_batch(encoder, limit, "tokens")
    assert len(set(texts)) == max(1, encoder.budget // limit)
    assert {one.cost for one in encoder.prepare(texts)} == {limit}


@pytest.mark.parametrize(
    "save", [encoder_makers.save_serving_default_text, encoder_makers.save_use_lite_module]
)
def test_a_full_batch_of_a_model_without_a_limit_is_of_the_longest_golden_text(
    save: Callable[[Path], Made], tmp_path: Path
) -> None:
    made = save(tmp_path / "made")
    graph, found, _ = inspected(made)
    encoder = encoder_in(unpacked(graph, parameters_of(found), tmp_path))

    texts = full_batch(encoder, None, "text")
    assert len(set(texts)) == len(texts)
    assert min(map(len, texts)) > max(map(len, TEXTS))
    longest = max(one.cost for one in encoder.prepare(texts))
    assert len(texts) == max(1, encoder.budget // longest)


def save_text_model(folder: Path, function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Save a function of lengths of texts [n] that gives [n, 2]."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def served(texts: Tensor) -> dict[str, Tensor]:
        return {"vector": function(tf.strings.length(texts))}

    module: Any = tf.Module()
    module.served = served
    tf.saved_model.save(module, str(folder), signatures={"serving_default": served})
    return {
        "kind": "text",
        "engine": "tensorflow",
        "encoder": {
            "tags": ["serve"],
            "signature": "serving_default",
            "input": "texts",
            "rank": 1,
            "output": "vector",
            "preprocessor": None,
            "libraries": [],
        },
        "dimensions": 2,
        "max_tokens": None,
        "packages": ["numpy", "tensorflow"],
    }


def test_the_memory_is_that_of_a_full_batch(tmp_path: Path) -> None:
    """A text of the golden ones takes 90 MB at most here, and a batch of long ones 500 MB."""
    import tensorflow as tf

    def plain(lengths: Tensor) -> Tensor:
        return tf.stack([tf.cast(lengths, tf.float32)] * 2, 1)

    def hungry(lengths: Tensor) -> Tensor:
        floats = 2048 * tf.size(lengths) * tf.reduce_max(lengths)
        nothing = tf.minimum(tf.reduce_min(tf.random.uniform([floats])), 0)
        return plain(lengths) + nothing

    taken = []
    for name, function in (("plain", plain), ("hungry", hungry)):
        (tmp_path / name).mkdir()
        parameters = save_text_model(tmp_path / name / "model", function)
        folder = unpacked(tmp_path / name / "model", parameters, tmp_path / name)
        taken.append(probed(folder, tmp_path / name, ["elephant"])["memory_bytes"])
    assert taken[1] - taken[0] >= 256 * MIB


def test_a_model_that_fails_on_every_text_is_one_sentence(tmp_path: Path) -> None:
    import tensorflow as tf

    def broken(lengths: Tensor) -> Tensor:
        return tf.reshape(tf.cast(lengths, tf.float32), [-1, 2]) * tf.ones([7, 2])

    parameters = save_text_model(tmp_path / "model", broken)
    folder = unpacked(tmp_path / "model", parameters, tmp_path)
    with pytest.raises(StagingError) as error:
        probed(folder, tmp_path, ["elephant"])
    assert str(error.value) == (
        "the model fails on every text (InvalidArgumentError: Input to reshape is a tensor with 1 "
        "values, but the requested shape requires a multiple of 2). Does it run with the "
        "TensorFlow that is installed here? --debug shows all that it said."
    )
    assert "Traceback (most recent call last)" in (error.value.details or "")


def test_a_text_on_which_the_model_fails_is_told_from_one_that_it_embeds(tmp_path: Path) -> None:
    import tensorflow as tf

    def short_ones(lengths: Tensor) -> Tensor:
        return tf.gather(tf.ones([10, 2]), tf.cast(tf.reshape(lengths, [-1]), tf.int32))

    parameters = save_text_model(tmp_path / "model", short_ones)
    folder = unpacked(tmp_path / "model", parameters, tmp_path)
    found = probed(folder, tmp_path, ["elephant", "an elephant never forgets"])
    assert found["ok"] == [True, False]
    assert found["problems"][0] is None
    assert found["problems"][1].startswith("it fails (InvalidArgumentError: ")
    assert "Call the model itself with that text" in found["problems"][1]
