"""SavedModels that take strings: the signature is found, or the candidates are listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
import tf_embeddings_udf
from tf_embeddings_staging import saved_model
from tf_embeddings_staging.build import build
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.saved_model import TextSignature
from tf_embeddings_staging.sources import Folder

Tensor = Any  # TensorFlow ships no types


def save(
    folder: Path,
    signatures: dict[str, Callable[..., dict[str, Tensor]]],
    *inputs: tuple[Sequence[int | None], str, str],
) -> Path:
    """Save a model whose signatures take these inputs: shape, type, name."""
    import tensorflow as tf

    specs = [tf.TensorSpec(shape, dtype, name=name) for shape, dtype, name in inputs]
    module = tf.Module()
    functions = {
        name: tf.function(function, input_signature=specs) for name, function in signatures.items()
    }
    for name, function in functions.items():
        setattr(module, f"function_{name}", function)
    tf.saved_model.save(module, str(folder), signatures=functions)
    return folder


TEXTS = ([None], "string", "texts")


def lengths(texts: Tensor, columns: int = 2) -> Tensor:
    import tensorflow as tf

    count = tf.cast(tf.strings.length(tf.reshape(texts, [-1])), tf.float32)
    return tf.stack([count + column for column in range(columns)], 1)


def vectors(texts: Tensor) -> dict[str, Tensor]:
    return {"vector": lengths(texts)}


def test_the_serving_signature_is_found(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"serving_default": vectors, "other": vectors}, TEXTS)
    assert saved_model.inspect(folder) == TextSignature("serving_default", "texts", 1, "vector", 2)


def test_the_only_signature_is_found_whatever_its_name(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"embed": vectors}, ([None, 1], "string", "column"))
    assert saved_model.inspect(folder) == TextSignature("embed", "column", 2, "vector", 2)


def test_a_keras_export_is_understood(tmp_path: Path) -> None:
    parameters = makers.save_keras_model(tmp_path / "m")
    found = saved_model.inspect(tmp_path / "m")
    assert parameters["encoder"] == {
        "signature": found.signature,
        "input": found.input,
        "rank": found.rank,
        "output": found.output,
    }


def test_scores_and_token_vectors_beside_the_vectors_are_no_candidates(tmp_path: Path) -> None:
    import tensorflow as tf

    def outputs(texts: Tensor) -> dict[str, Tensor]:
        two = lengths(texts)
        return {
            "vector": two,
            "tokens": two[:, None],
            "score": two[:, 0],
            "id": tf.cast(two, "int32"),
        }

    folder = save(tmp_path / "m", {"serving_default": outputs}, TEXTS)
    assert saved_model.inspect(folder).output == "vector"


def test_two_outputs_of_vectors_are_listed(tmp_path: Path) -> None:
    def outputs(texts: Tensor) -> dict[str, Tensor]:
        return {"a": lengths(texts), "b": lengths(texts, 3)}

    folder = save(tmp_path / "m", {"serving_default": outputs}, TEXTS)
    assert refusal(folder) == (
        "the signature 'serving_default' gives a (float [?, 2]), b (float [?, 3]); it must give "
        "one tensor of floats [n, dimensions]."
    )


def test_inputs_that_are_no_strings_are_listed(tmp_path: Path) -> None:
    def outputs(ids: Tensor, texts: Tensor) -> dict[str, Tensor]:
        return {"vector": lengths(texts) + ids}

    folder = save(
        tmp_path / "m", {"serving_default": outputs}, ([None, 1], "float32", "ids"), TEXTS
    )
    assert refusal(folder) == (
        "the signature 'serving_default' takes ids (float [?, 1]), texts (string [?]); it must "
        "take one tensor of strings, [n] or [n, 1]."
    )


def test_signatures_without_a_default_are_listed(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"query": vectors, "passage": vectors}, TEXTS)
    assert refusal(folder) == (
        "the SavedModel has no signature 'serving_default', and more than one other (passage, "
        "query). Save it with the one that embeds as 'serving_default'."
    )


def test_a_model_without_signatures_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    assert refusal(tmp_path / "m") == (
        "the SavedModel has no signatures. Save it with one that takes strings, for example with "
        "Keras 3's model.export."
    )


def test_a_graph_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    graph = save(tmp_path / "m", {"serving_default": vectors}, TEXTS) / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-7])
    assert refusal(tmp_path / "m") == "'saved_model.pb' is no SavedModel, or cut short."


def refusal(folder: Path) -> str:
    with pytest.raises(StagingError) as error:
        saved_model.inspect(folder)
    return str(error.value)


def test_the_version_is_of_the_model_and_not_of_its_name_or_its_fingerprint(
    tmp_path: Path,
) -> None:
    folder = save(tmp_path / "m", {"serving_default": vectors}, TEXTS)
    first = build(Folder(folder), "one", tmp_path / "cache", Report())
    (folder / "fingerprint.pb").write_bytes(b"another")
    (folder / ".DS_Store").write_bytes(b"")
    second = build(Folder(folder), "two", tmp_path / "cache", Report())

    assert (first.version, first.dimensions, first.kind) == (second.version, 2, "text")
    assert first.build != second.build
    unpacked = tf_embeddings_udf.unpack(
        second.path, tmp_path / "unpacked", model="two", build=second.build
    )
    outcomes = tf_embeddings_udf.load(unpacked).embed(["abc", None])
    np.testing.assert_array_equal(outcomes.embeddings[0], [3, 4])
    assert outcomes.statuses.tolist() == ["ok", "null"]


def test_a_model_that_gives_a_text_another_vector_each_time_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def noisy(texts: Tensor) -> dict[str, Tensor]:
        two = lengths(texts)
        return {"vector": two + tf.random.uniform(tf.shape(two))}

    folder = save(tmp_path / "m", {"serving_default": noisy}, TEXTS)
    with pytest.raises(
        StagingError,
        match=r"^the model gives a text another vector alone than among others \(they differ by "
        r"\S+ in a component\)\. Save it for inference, without dropout and batch statistics\.$",
    ):
        build(Folder(folder), "noisy", tmp_path / "cache", Report())
    assert not list((tmp_path / "cache").rglob("*.zip"))
    assert not list((tmp_path / "cache/work").iterdir())


def test_a_model_that_gives_zeros_is_refused(tmp_path: Path) -> None:
    def zeros(texts: Tensor) -> dict[str, Tensor]:
        return {"vector": lengths(texts) * 0}

    folder = save(tmp_path / "m", {"serving_default": zeros}, TEXTS)
    with pytest.raises(StagingError) as error:
        build(Folder(folder), "zeros", tmp_path / "cache", Report())
    assert str(error.value) == (
        "the model gives no vector for 'elephant' and 14 other texts: what comes out is not "
        "finite or all zeros, or the model fails."
    )
