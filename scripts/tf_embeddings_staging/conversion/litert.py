"""From a SavedModel to LiteRT, and the proof that it gives the same vectors.

Pooling, the choice of the output and the cut of dimensions go into the graph. The tasks run in the
worker process: they load TensorFlow.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_staging.building.golden_texts import TEXTS
from tf_embeddings_staging.sentences import in_one_sentence

if TYPE_CHECKING:
    from tf_embeddings_udf import Embedder, Manifest
    from tf_embeddings_udf.engines.tensorflow import TensorFlow

TOLERANCE = 1e-5
"""Of a vector's length: how far a component may be from TensorFlow's."""

# What a text may be: a word, a sentence, more than any model sees.
_WORDS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 400)
_MIXED = 300
_ALONE = 40

# The inputs that an encoder's parameters name; a converted model calls them so itself.
_ROLES = (
    *("input_ids", "attention_mask", "token_type_ids"),
    *("values", "indices", "dense_shape"),
)
# What the converted graph does itself.
_IN_THE_GRAPH = ("libraries", "output", "pooling", "preprocessor", "signature", "tags")

_MISSING_OPS = re.compile(r"(?:TF Select|Custom) ops: ([\w, ]+)")

Tensor = Any  # TensorFlow ships no types


def litert_parameters(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest's `encoder` of a model that was converted."""
    return {
        name: name if name in _ROLES and value is not None else value
        for name, value in encoder.items()
        if name not in _IN_THE_GRAPH
    }


def convert_litert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder, target} -> {texts, difference}, or {refused: why}.

    `folder` is the artifact for TensorFlow, unpacked. `target` is where the one for LiteRT is laid
    out, all but its model: that is written there, and stays only if it gives the same vectors.
    """
    import tf_embeddings_udf as runtime
    from tf_embeddings_udf.engines.litert import MODEL_FILE
    from tf_embeddings_udf.engines.tensorflow import TensorFlow
    from tf_embeddings_udf.manifest import MODEL_FOLDER

    folder, target = Path(request["folder"]), Path(request["target"])
    manifest = runtime.read_manifest(folder)
    try:
        content = _converted(TensorFlow(manifest, folder, 0), manifest)
    except Exception as error:  # whatever the converter may raise
        return {"refused": f"it does not convert: {_why(error)}"}
    path = target / MODEL_FOLDER / MODEL_FILE
    path.write_bytes(content)
    converted = replace(
        manifest,
        engine="litert",
        encoder=litert_parameters(manifest.encoder),
        model_dimensions=manifest.dimensions,
        files={},
    )
    try:
        answer = _compare(_loaded(manifest, folder), _loaded(converted, target))
    except runtime.TfEmbeddingsError as error:
        answer = {"refused": f"it converts and does not run ({in_one_sentence(error)})"}
    if "refused" in answer:
        path.unlink()
    return answer


def _loaded(manifest: Manifest, folder: Path) -> Embedder:
    from tf_embeddings_udf import Embedder
    from tf_embeddings_udf.encoders import load_encoder
    from tf_embeddings_udf.planner import Planner

    return Embedder(manifest, Planner(load_encoder(manifest, folder, 0), manifest))


def _converted(engine: TensorFlow, manifest: Manifest) -> bytes:
    """Return the model as LiteRT's file: by the names of its inputs, `embedding`."""
    from tf_embeddings_udf.engines.litert import OUTPUT

    tf = engine.tf
    named = {role: manifest.encoder[role] for role in _ROLES if manifest.encoder.get(role)}
    pooling = manifest.encoder.get("pooling")

    def embed(*tensors: Tensor) -> dict[str, Tensor]:
        inputs = dict(zip(named, tensors, strict=True))
        states = engine.output(**{named[role]: tensor for role, tensor in inputs.items()})
        vectors = _pooled(tf, states, inputs.get("attention_mask"), pooling)
        return {OUTPUT: vectors[:, : manifest.dimensions]}

    module = tf.Module()
    module.loaded = engine.loaded  # its variables
    specs = [
        tf.TensorSpec(engine.specs[name].shape, engine.specs[name].dtype, name=role)
        for role, name in named.items()
    ]
    module.embed = tf.function(embed, input_signature=specs, autograph=False)
    function = module.embed.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], module).convert()


def _pooled(tf: Any, states: Tensor, mask: Tensor | None, pooling: str | None) -> Tensor:  # noqa: ANN401
    """Make one vector of a text's tokens, as `encoders.tokens` does; reshapes, for the converter.

    Without a mask all rows of a batch have one length, and no padding.
    """
    if pooling is None:
        return states
    if pooling == "cls":
        return states[:, 0]
    if mask is None:
        return tf.reduce_max(states, 1) if pooling == "max" else tf.reduce_mean(states, 1)
    shape = tf.shape(states)
    weights = tf.reshape(tf.cast(mask, tf.float32), [shape[0], shape[1], 1])
    if pooling == "max":
        return tf.reduce_max(states * weights + (weights - 1.0) * np.float32(1e30), 1)
    return tf.reduce_sum(states * weights, 1) / tf.reduce_sum(weights, 1)


def _compare(tensorflow: Embedder, litert: Embedder) -> dict[str, Any]:
    """Embed the same texts with both, in batches, and some alone with LiteRT."""
    texts = [*TEXTS, *mixed_texts()]
    wanted, came = tensorflow.embed(texts), litert.embed(texts)
    if lost := int((wanted.valid != came.valid).sum()):
        return {"refused": f"it converts, and gives {lost} of {len(texts)} texts no vector"}
    rows = np.flatnonzero(wanted.valid)
    alone = rows[:: max(1, len(rows) // _ALONE)]
    vectors = [litert.embed([texts[row]]).embeddings[0] for row in alone]
    difference = max(
        _difference(came.embeddings[rows], wanted.embeddings[rows]),
        _difference(np.array(vectors), wanted.embeddings[alone]),
    )
    if not difference <= TOLERANCE:
        return {
            "refused": f"it converts, and gives other vectors: a component differs by "
            f"{difference:.1e} of a vector's length, more than {TOLERANCE:g}"
        }
    return {"texts": len(texts), "difference": difference}


def _difference(came: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest difference of a component, in parts of its vector's length."""
    lengths = np.linalg.norm(wanted.astype(np.float64), axis=1)
    return float((np.abs(came.astype(np.float64) - wanted).max(1) / lengths).max())


def mixed_texts(count: int = _MIXED) -> Sequence[str]:
    """Return texts of all lengths and scripts, made of the words of the golden ones."""
    words = [word for text in TEXTS for word in set(text.split())]
    chance = random.Random(7)
    words.sort()
    return [" ".join(chance.choices(words, k=chance.choice(_WORDS))) for _ in range(count)]


def _why(error: Exception) -> str:
    """Return why the converter refused a graph: the ops that LiteRT does not have, or its words."""
    if missing := sorted(set(_MISSING_OPS.findall(str(error)))):
        return f"LiteRT has no {', '.join(missing)} of this form"
    return in_one_sentence(error).rstrip(".")
