"""A SavedModel that takes strings: which of its files count, and which signature embeds.

`files_of` is for the CLI; `inspect` reads the graph with TensorFlow's own protobuf classes and is
called in the worker process alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

GRAPH = "saved_model.pb"

# The rest of a SavedModel's folder is bookkeeping: fingerprint.pb even holds a random UUID.
_FOLDERS = ("variables", "assets", "assets.extra")
_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class TextSignature:
    """The signature that turns strings into vectors.

    Attributes:
        signature: its name.
        input: the argument that takes strings.
        rank: 1 for strings [n], 2 for [n, 1].
        output: the key of the vectors, [n, dimensions].
        dimensions: their length; None where the graph leaves it open.
    """

    signature: str
    input: str
    rank: int
    output: str
    dimensions: int | None


def is_saved_model(folder: Path) -> bool:
    """Tell whether a folder is a SavedModel."""
    return (folder / GRAPH).is_file()


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a SavedModel that count, by their path in it."""
    paths = [folder / GRAPH]
    for name in _FOLDERS:
        paths += [path for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in sorted(paths)}


def inspect(folder: Path) -> TextSignature:
    """Find the signature with one input of strings and one output of vectors.

    Raises:
        StagingError: there is none, or more than one candidate; the message lists what there is.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        model.ParseFromString((folder / GRAPH).read_bytes())
    except DecodeError:
        raise StagingError(f"'{GRAPH}' is no SavedModel, or cut short.") from None
    if len(model.meta_graphs) != 1:
        tags = [" + ".join(graph.meta_info_def.tags) or "none" for graph in model.meta_graphs]
        raise StagingError(
            f"the SavedModel holds {len(tags)} graphs (tags: {', '.join(tags)}); it must be one."
        )
    definitions = model.meta_graphs[0].signature_def
    signatures = {name: definitions[name] for name in definitions if not name.startswith("__")}
    return choose(signatures)


def inspect_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Find the signature of a SavedModel, and the length of its vectors by running it."""
    import tensorflow as tf

    folder = Path(request["folder"])
    found = inspect(folder)
    loaded = tf.saved_model.load(str(folder))
    text = tf.constant(["test"] if found.rank == 1 else [["test"]])
    vectors = loaded.signatures[found.signature](**{found.input: text})[found.output]
    if vectors.shape.rank != 2 or vectors.shape[0] != 1:
        raise StagingError(
            f"the output '{found.output}' of the signature '{found.signature}' has the shape "
            f"{vectors.shape.as_list()} for one text; it must be [1, dimensions]."
        )
    return {**asdict(found), "dimensions": vectors.shape[1]}


def choose(signatures: Mapping[str, Any]) -> TextSignature:
    """Choose among SignatureDef messages, by name; see `inspect`."""
    if not signatures:
        raise StagingError(
            "the SavedModel has no signatures. Save it with one that takes strings, for example "
            "with Keras 3's model.export."
        )
    if _SIGNATURE not in signatures and len(signatures) > 1:
        raise StagingError(
            f"the SavedModel has no signature '{_SIGNATURE}', and more than one other "
            f"({', '.join(sorted(signatures))}). Save it with the one that embeds as "
            f"'{_SIGNATURE}'."
        )
    name = _SIGNATURE if _SIGNATURE in signatures else next(iter(signatures))
    inputs, outputs = signatures[name].inputs, signatures[name].outputs
    if len(inputs) != 1 or not _is_text(next(iter(inputs.values()))):
        raise StagingError(
            f"the signature '{name}' takes {_listed(inputs)}; it must take one tensor of strings, "
            f"[n] or [n, 1]."
        )
    ((argument, text),) = inputs.items()
    vectors = [key for key in sorted(outputs) if _is_vectors(outputs[key])]
    if len(vectors) != 1:
        raise StagingError(
            f"the signature '{name}' gives {_listed(outputs)}; it must give one tensor of floats "
            f"[n, dimensions]."
        )
    return TextSignature(
        signature=name,
        input=argument,
        rank=len(text.tensor_shape.dim) or 1,
        output=vectors[0],
        dimensions=_dimensions(outputs[vectors[0]]),
    )


def _types() -> Any:  # noqa: ANN401 - made by protobuf, without types
    from tensorflow.core.framework import types_pb2

    return types_pb2


def _is_text(tensor: Any) -> bool:  # noqa: ANN401 - a TensorInfo message
    types = _types()
    if tensor.dtype != types.DT_STRING:
        return False
    sizes = _sizes(tensor)
    return sizes is None or len(sizes) == 1 or (len(sizes) == 2 and sizes[1] in (1, -1))


def _is_vectors(tensor: Any) -> bool:  # noqa: ANN401
    types = _types()
    floats = (types.DT_FLOAT, types.DT_DOUBLE, types.DT_HALF, types.DT_BFLOAT16)
    sizes = _sizes(tensor)
    return tensor.dtype in floats and (sizes is None or len(sizes) == 2)


def _dimensions(tensor: Any) -> int | None:  # noqa: ANN401
    sizes = _sizes(tensor)
    return sizes[1] if sizes and sizes[1] > 0 else None


def _sizes(tensor: Any) -> list[int] | None:  # noqa: ANN401
    """Return a shape, -1 for what is open; None where even the rank is."""
    if tensor.tensor_shape.unknown_rank:
        return None
    return [dimension.size for dimension in tensor.tensor_shape.dim]


def _listed(tensors: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_described(tensors[name])}" for name in sorted(tensors)) or "nothing"


def _described(tensor: Any) -> str:  # noqa: ANN401
    types = _types()
    dtype = types.DataType.Name(tensor.dtype).removeprefix("DT_").lower()
    sizes = _sizes(tensor)
    if sizes is None:
        return f"({dtype}, of unknown shape)"
    return f"({dtype} [{', '.join('?' if size < 0 else str(size) for size in sizes)}])"
