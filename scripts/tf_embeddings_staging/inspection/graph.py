"""Reading saved_model.pb as the message that it is: nothing of the model runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.files import GRAPH

Message = Any  # made by protobuf, without types

CALL = "__call__"
"""The name for the loaded object itself, where a function is called and no signature."""

_MOST_BYTES = 2**31 - 1  # https://protobuf.dev/programming-guides/proto-limits
_SERVE = ["serve"]
_FLOATS = ("float32", "float64", "float16", "bfloat16")
_INTEGERS = ("int32", "int64")


@dataclass(frozen=True)
class Tensor:
    """An input or an output: its type, and its shape with None for what is open.

    Attributes:
        name: its name; None for a single output that is not part of a structure.
        shape: None where even the rank is open.
    """

    name: str | None
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            said = f"({self.dtype}, of unknown shape)"
        else:
            sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
            said = f"({self.dtype} [{sizes}])"
        return f"{self.name} {said}" if self.name else said

    def has_rank(self, rank: int) -> bool:
        """Tell whether it has a rank, or may have it."""
        return self.shape is None or len(self.shape) == rank

    @property
    def is_text(self) -> bool:
        """Tell whether it takes strings, [n] or [n, 1]."""
        column = self.shape is not None and len(self.shape) == 2 and self.shape[1] in (1, None)
        return self.dtype == "string" and (self.has_rank(1) or column)

    @property
    def is_integers(self) -> bool:
        """Tell whether it holds whole numbers."""
        return self.dtype in _INTEGERS

    @property
    def is_floats(self) -> bool:
        """Tell whether it holds floating point numbers."""
        return self.dtype in _FLOATS


@dataclass(frozen=True)
class Signature:
    """Something of the model that can be called: a signature, or `__call__`.

    Attributes:
        takes: how its inputs are given: `by name`, `by place`, or as `a dict` of them.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    takes: str = "by name"

    @property
    def label(self) -> str:
        """Return what messages call it."""
        return f"'{CALL}'" if self.name == CALL else f"the signature '{self.name}'"


@dataclass(frozen=True)
class Graph:
    """One graph of a SavedModel.

    Attributes:
        root: the folder that came with it, above which no file belongs to it; None where it is on
            the user's own disk, and files beside it may.
        meta: the MetaGraphDef message.
        tags: what `tf.saved_model.load` is told to find it.
        all_tags: those of every graph in the file.
        is_object: whether TensorFlow loads it as objects (TF2), or imports its graph (TF1).
        signatures: by name, in its order.
        calls: the ways in which the loaded object can be called.
        others: the file's other graphs, which are not loaded.
    """

    folder: Path
    root: Path | None
    meta: Message
    tags: tuple[str, ...]
    all_tags: tuple[tuple[str, ...], ...]
    is_object: bool
    signatures: Mapping[str, Signature]
    calls: tuple[Signature, ...]
    others: tuple[Graph, ...] = ()

    def callables(self) -> Iterator[Signature]:
        """Yield all that can be called, by name."""
        yield from self.signatures.values()
        yield from self.calls


def read(folder: Path, root: Path | None = None) -> Graph:
    """Read the graph of a SavedModel: the one tagged 'serve', or without tags, if it has several.

    Raises:
        StagingError: the file is damaged or too large, or nothing says which graph to take.
    """
    graphs = _parse(folder / GRAPH).meta_graphs
    _require_distinct_tags([list(graph.meta_info_def.tags) for graph in graphs])
    for graph in graphs:
        _require_distinct_functions(graph)
    tags = tuple(tuple(sorted(graph.meta_info_def.tags)) for graph in graphs)
    chosen = _choose(tags)
    models = [_model(folder, root, graph, tags) for graph in graphs]
    return replace(models.pop(chosen), others=tuple(models))


def _model(
    folder: Path, root: Path | None, meta: Message, all_tags: tuple[tuple[str, ...], ...]
) -> Graph:
    # As tf.saved_model.load decides it.
    is_object = len(all_tags) == 1 and meta.HasField("object_graph_def")
    signatures = {
        name: _signature(name, meta.signature_def[name])
        for name in sorted(meta.signature_def)
        if not name.startswith("__")
    }
    return Graph(
        folder=folder,
        root=root,
        meta=meta,
        tags=tuple(sorted(meta.meta_info_def.tags)),
        all_tags=all_tags,
        is_object=is_object,
        signatures=signatures,
        calls=tuple(_calls(meta.object_graph_def)) if is_object else (),
    )


def _parse(path: Path) -> Message:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise StagingError(
            f"'{path.name}' has {size / 2**30:.1f} GiB; TensorFlow reads at most 2 GiB. Save the "
            f"model with its weights as variables, not as constants of the graph."
        )
    message = saved_model_pb2.SavedModel()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        message.ParseFromString(path.read_bytes())
    except DecodeError:
        raise StagingError(f"'{path.name}' is not a SavedModel, or cut short.") from None
    if not message.meta_graphs:
        raise StagingError(f"'{path.name}' is not a SavedModel, or cut short: it holds no graph.")
    return message


def _require_distinct_tags(tags: Sequence[Sequence[str]]) -> None:
    """Refuse tags by which another graph may be loaded than the one that was looked at.

    TensorFlow takes the first graph whose set of tags is the one wanted:
    https://github.com/tensorflow/tensorflow/blob/v2.17.0/tensorflow/python/saved_model/loader_impl.py
    """
    sets = [frozenset(some) for some in tags]
    if len(set(sets)) == len(sets) and all(len(set(some)) == len(some) for some in tags):
        return
    raise StagingError(
        f"the SavedModel holds {_counted(tags)}: a tag or a set of tags occurs twice, so it does "
        f"not say which graph is meant. Save it with one graph, tagged 'serve'."
    )


def _require_distinct_functions(meta: Message) -> None:
    names = Counter(function.signature.name for function in meta.graph_def.library.function)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise StagingError(
            f"the SavedModel holds the function '{twice[0]}' twice, which TensorFlow never writes. "
            f"Save it again with TensorFlow."
        )


def _counted(tags: Sequence[Sequence[str]]) -> str:
    listed = ", ".join(" + ".join(some) or "none" for some in tags)
    return f"{len(tags)} {'graph' if len(tags) == 1 else 'graphs'} (tags: {listed})"


def _choose(tags: Sequence[tuple[str, ...]]) -> int:
    if len(tags) == 1:
        return 0
    for wanted in (tuple(_SERVE), ()):
        if tags.count(wanted) == 1:
            return tags.index(wanted)
    raise StagingError(
        f"the SavedModel holds {_counted(tags)}, and neither one with only the "
        f"tag 'serve' nor one without tags. Save it with one graph, tagged 'serve'."
    )


def _signature(name: str, definition: Message) -> Signature:
    return Signature(
        name,
        tuple(_tensor(key, definition.inputs[key]) for key in sorted(definition.inputs)),
        tuple(_tensor(key, definition.outputs[key]) for key in sorted(definition.outputs)),
    )


def _tensor(name: str, info: Message) -> Tensor:
    """Return what a TensorInfo says."""
    encoding = info.WhichOneof("encoding")
    if encoding in ("coo_sparse", "composite_tensor"):
        return Tensor(name, f"{encoding.partition('_')[0]} {_dtype(info.dtype)}", None)
    return Tensor(name, _dtype(info.dtype), _shape(info.tensor_shape))


def _dtype(number: int) -> str:
    import tensorflow as tf

    try:
        return tf.as_dtype(number).name
    except TypeError:
        return f"type {number}"


def _shape(shape: Message) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if dimension.size < 0 else dimension.size for dimension in shape.dim)


def _calls(objects: Message) -> Iterator[Signature]:
    """Yield the functions behind `__call__` of the root object, each once.

    A Keras layer has one for each value of `training`; they differ in nothing that is seen here.
    """
    seen: set[Signature] = set()
    for name in _functions(objects):
        function = objects.concrete_functions[name]
        signature = _called(function)
        if signature.inputs and signature not in seen:
            seen.add(signature)
            yield signature


def _functions(objects: Message) -> Sequence[str]:
    """Return the names of the concrete functions of the root object's `__call__`."""
    if not objects.nodes:
        return []
    children = {child.local_name: child.node_id for child in objects.nodes[0].children}
    place = children.get(CALL)
    if place is None or not 0 <= place < len(objects.nodes):
        return []
    node = objects.nodes[place]
    names = [*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name]
    return [name for name in names if name in objects.concrete_functions]


def _called(function: Message) -> Signature:
    """Return what a function takes and gives; arguments that are not tensors do not count."""
    parts = function.canonicalized_input_signature.tuple_value.values
    arguments = [_values(part) for part in parts[:1]]
    positional = [one for some in arguments for one in some]
    named = dict(parts[1].dict_value.fields) if len(parts) == 2 else {}
    outputs = tuple(_outputs(function.output_signature))
    if dicts := [one for one in positional if one.HasField("dict_value")]:
        fields = dicts[0].dict_value.fields
        inputs = [_argument(key, fields[key]) for key in sorted(fields)]
        return Signature(CALL, tuple(filter(None, inputs)), outputs, "a dict")
    inputs = [_argument("", value) for value in positional]
    takes = "by place" if any(inputs) else "by name"
    inputs += [_argument(key, named[key]) for key in sorted(named)]
    return Signature(CALL, tuple(filter(None, inputs)), outputs, takes)


def _argument(name: str, value: Message) -> Tensor | None:
    spec = _spec(value)
    return spec and Tensor(name or spec.name or None, _dtype(spec.dtype), _shape(spec.shape))


def _outputs(value: Message) -> Iterator[Tensor]:
    """Yield the tensors that a function returns: one, those of a list, or those of a dict."""
    if spec := _spec(value):
        yield Tensor(None, _dtype(spec.dtype), _shape(spec.shape))
        return
    named = {str(place): one for place, one in enumerate(_values(value))}
    if value.HasField("dict_value"):
        named = dict(value.dict_value.fields)
    for name in sorted(named):
        if spec := _spec(named[name]):
            yield Tensor(name, _dtype(spec.dtype), _shape(spec.shape))


def _values(value: Message) -> Sequence[Message]:
    kind = value.WhichOneof("kind")
    if kind in ("list_value", "tuple_value"):
        return getattr(value, kind).values
    if kind == "named_tuple_value":
        return [pair.value for pair in value.named_tuple_value.values]
    return []


def _spec(value: Message) -> Message | None:
    kind = value.WhichOneof("kind")
    is_spec = kind in ("tensor_spec_value", "bounded_tensor_spec_value")
    return getattr(value, kind) if is_spec else None
