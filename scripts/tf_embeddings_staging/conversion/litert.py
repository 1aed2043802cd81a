"""From a SavedModel to LiteRT, and the proof that it gives the same vectors.

Pooling, the choice of the output and the cut of dimensions go into the graph. The tasks run in the
worker process: they load TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_staging.building.probe import TEXTS, for_kind, mixed_texts, sizes
from tf_embeddings_staging.model import INPUTS, litert_parameters
from tf_embeddings_staging.sentences import in_one_sentence

if TYPE_CHECKING:
    from tf_embeddings_udf import Embedder, Manifest, TfEmbeddingsError
    from tf_embeddings_udf.engines.tensorflow import TensorFlow

TOLERANCE = 1e-5
"""How far a component may differ from TensorFlow's, in parts of the vector's length."""

_MIXED, _SEED = 300, 7
_ALONE = 40

# Variables of TensorFlow 1, which the converter does not take.
_REFERENCES = ("Variable", "VariableV2")

# How the converter names an op that it does not take, and the place in its source.
_MISSING_OPS = re.compile(r"(?:TF Select|Custom) ops: ([\w, ]+)")
_REFUSED_OP = re.compile(r"error: 'tf\.(\w+)' op ")
_PLACE = re.compile(r"(?<=ConverterError: )\S+:\d+:\d+: error: ")
_MOST_OPS = 5

Tensor = Any  # TensorFlow ships no types


def convert_litert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder, target} -> {}, or {refused: why}.

    `folder` is the artifact for TensorFlow, unpacked. `target` is where the one for LiteRT is laid
    out, all but its model, which is written there. The converter evaluates what
    depends only on constants, so this has a process of its own: see `process`.
    """
    import tf_embeddings_udf as runtime
    from tf_embeddings_udf.engines.litert import MODEL_FILE
    from tf_embeddings_udf.engines.tensorflow import TensorFlow
    from tf_embeddings_udf.manifest import MODEL_FOLDER

    folder, target = Path(request["folder"]), Path(request["target"])
    manifest = runtime.read_manifest(folder)
    engine = TensorFlow(manifest, folder, 1)
    try:
        content = _converted(engine, manifest, folder / MODEL_FOLDER)
    except Exception as error:  # whatever the converter may raise
        return {"refused": f"it does not convert: {_why(error)}"}
    (target / MODEL_FOLDER / MODEL_FILE).write_bytes(content)
    return {}


def compare_litert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {folder, target} -> {texts, difference}, or {refused: why}.

    The folders are those of `convert_litert_task`. The answer {fails: why} is of a model that gives
    no vectors with TensorFlow either.
    """
    import tf_embeddings_udf as runtime

    folder, target = Path(request["folder"]), Path(request["target"])
    manifest = runtime.read_manifest(folder)
    converted = replace(
        manifest,
        engine="litert",
        encoder=litert_parameters(manifest.encoder),
        model_dimensions=manifest.dimensions,
        files={},
    )
    return _compare(_loaded(manifest, folder), lambda: _loaded(converted, target))


def _loaded(manifest: Manifest, folder: Path) -> Embedder:
    from tf_embeddings_udf import Embedder
    from tf_embeddings_udf.encoders import load_encoder
    from tf_embeddings_udf.planner import Planner

    return Embedder(manifest, Planner(load_encoder(manifest, folder, 0), manifest))


def _converted(engine: TensorFlow, manifest: Manifest, folder: Path) -> bytes:
    """Return the model as LiteRT's file: by the roles of its inputs, `embedding`."""
    from tf_embeddings_udf.engines.litert import OUTPUT

    tf = engine.tf
    named = {role: manifest.encoder[role] for role in INPUTS if manifest.encoder.get(role)}
    pooling = manifest.encoder.get("pooling")
    output = _of_constants(engine, folder) if _has_reference_variables(engine) else engine.output

    def embed(*tensors: Tensor) -> dict[str, Tensor]:
        inputs = dict(zip(named, tensors, strict=True))
        states = output(**{named[role]: tensor for role, tensor in inputs.items()})
        states = _pooled(tf, states, inputs.get("attention_mask"), pooling)
        return {OUTPUT: states[..., : manifest.dimensions]}

    module = tf.Module()
    module.loaded = engine.loaded  # its variables
    specs = [
        tf.TensorSpec(engine.specs[name].shape, engine.specs[name].dtype, name=role)
        for role, name in named.items()
    ]
    module.embed = tf.function(embed, input_signature=specs, autograph=False)
    function = module.embed.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], module).convert()


def _has_reference_variables(engine: TensorFlow) -> bool:
    """Tell whether a graph keeps its variables as TensorFlow 1 did, as modules of TF-Hub do."""
    if not engine.is_signature:
        return False
    graph = engine.loaded.signatures[engine.text("signature")].graph
    return any(operation.type in _REFERENCES for operation in graph.get_operations())


def _of_constants(engine: TensorFlow, folder: Path) -> Callable[..., Tensor]:
    """Return a signature of a graph of TensorFlow 1 with constants in place of its variables."""
    v1, name = engine.tf.compat.v1, engine.parameter("output")
    with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tags = engine.parameter("tags")
        loaded = v1.saved_model.load(session, ["serve"] if tags is None else tags, str(folder))
        signature = loaded.signature_def[engine.text("signature")]
        output: str = signature.outputs[name].name
        frozen = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [output.partition(":")[0]]
        )
    whole = v1.wrap_function(lambda: v1.import_graph_def(frozen, name=""), [])
    inputs = {key: whole.graph.as_graph_element(one.name) for key, one in signature.inputs.items()}
    function = whole.prune(list(inputs.values()), whole.graph.as_graph_element(output))

    def call(**named: Tensor) -> Tensor:
        return engine.tf.cast(function(*(named[key] for key in inputs)), engine.tf.float32)

    return call


def _pooled(tf: Any, states: Tensor, mask: Tensor | None, pooling: str | None) -> Tensor:  # noqa: ANN401
    """Make one vector of a text's tokens, as `encoders.tokens` does; reshapes, for the converter.

    Without a mask the graph does not know what is padding, and the runtime pools.
    """
    if pooling is None or mask is None:
        return states
    if pooling == "cls":
        return states[:, 0]
    shape = tf.shape(states)
    is_token = tf.reshape(tf.cast(mask, tf.bool), [shape[0], shape[1], 1])
    # Not times 0: what a model gives for padding may not be finite.
    if pooling == "max":
        return tf.reduce_max(tf.where(is_token, states, states.dtype.min), 1)
    total = tf.reduce_sum(tf.where(is_token, states, 0.0), 1)
    return total / tf.reduce_sum(tf.cast(is_token, tf.float32), 1)


def _compare(tensorflow: Embedder, load_converted: Callable[[], Embedder]) -> dict[str, Any]:
    """Embed the same texts with both in batches, and some one by one with LiteRT."""
    from tf_embeddings_udf import TfEmbeddingsError

    kind = tensorflow.manifest.kind
    texts = [*for_kind(TEXTS, kind), *mixed_texts(_MIXED, _SEED, kind)]
    try:
        wanted = tensorflow.embed(texts)
    except TfEmbeddingsError as error:
        return {"fails": _cause(error)}
    rows = np.flatnonzero(wanted.valid)
    if not len(rows):
        return {"fails": "none of them is a finite vector"}
    try:
        litert = load_converted()
        came = litert.embed(texts)
    except TfEmbeddingsError as error:
        return {"refused": f"it converts and does not run ({_cause(error)})"}
    if lost := int((wanted.valid != came.valid).sum()):
        return {"refused": f"it converts, and gives {lost} of {len(texts)} texts no vector"}
    singly = rows[:: max(1, len(rows) // _ALONE)]
    vectors = [litert.embed([texts[row]]).embeddings[0] for row in singly]
    lengths = sizes(wanted.embeddings, kind)
    difference = max(
        _difference(came.embeddings[rows], wanted.embeddings[rows], lengths[rows]),
        _difference(np.array(vectors), wanted.embeddings[singly], lengths[singly]),
    )
    if not difference <= TOLERANCE:
        return {
            "refused": f"it converts, and gives other vectors: a component differs by "
            f"{difference:.1e} of a vector's length, more than {TOLERANCE:g}"
        }
    return {"texts": len(texts), "difference": difference}


def _difference(came: np.ndarray, wanted: np.ndarray, lengths: np.ndarray) -> float:
    """Return the largest difference of a component, in parts of its vector's length."""
    return float((np.abs(came.astype(np.float64) - wanted).max(1) / lengths).max())


def _why(error: Exception) -> str:
    """Return why the converter refused a graph: the ops that LiteRT does not have, or its words."""
    said = str(error)
    lists = _MISSING_OPS.findall(said)
    if ops := sorted({*re.findall(r"\w+", " ".join(lists))} or {*_REFUSED_OP.findall(said)}):
        more = f" and {len(ops) - _MOST_OPS} more" if len(ops) > _MOST_OPS else ""
        return f"LiteRT has no {', '.join(ops[:_MOST_OPS])}{more} of this form"
    return _PLACE.sub("", in_one_sentence(error)).rstrip(".")


def _cause(error: TfEmbeddingsError) -> str:
    """Return what lies behind an error of the runtime, which speaks to the warehouse."""
    if error.__cause__ is not None:
        return in_one_sentence(error.__cause__).rstrip(".")
    return str(error).removeprefix("tf_embeddings: ").rstrip(".")
