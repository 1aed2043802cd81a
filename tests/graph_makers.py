"""Small SavedModels of any graph, and changes to them that TensorFlow would not make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Tensor = Any  # TensorFlow ships no types
Message = Any  # made by protobuf, without types

TEXTS = ([None], "string", "texts")


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


def save_text(folder: Path, function: Callable[[Tensor], Tensor]) -> Path:
    """Save a model that makes vectors of texts by this function."""
    return save(folder, {"serving_default": lambda texts: {"vector": function(texts)}}, TEXTS)


def save_with_table(folder: Path, words: Path) -> Path:
    """Save a model that looks words up in a table, which is filled from a file of words."""
    import tensorflow as tf

    words.write_text("the\nquick\nbrown\nfox\n")

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            index = tf.lookup.TextFileIndex
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    str(words), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
                ),
                default_value=-1,
            )

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
        def embed(self, texts: Tensor) -> dict[str, Tensor]:
            places = tf.cast(self.table.lookup(texts), tf.float32)
            return {"vector": tf.stack([places, places + 1], 1)}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.embed})
    return folder


def lengths(texts: Tensor, columns: int = 2) -> Tensor:
    """Return vectors that are made of the texts' lengths."""
    import tensorflow as tf

    count = tf.cast(tf.strings.length(tf.reshape(texts, [-1])), tf.float32)
    return tf.stack([count + column for column in range(columns)], 1)


@contextmanager
def edited(folder: Path) -> Iterator[Message]:
    """Give the message of saved_model.pb, and write back what it has become."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel()  # pyright: ignore[reportAttributeAccessIssue]
    model.ParseFromString(path.read_bytes())
    yield model
    path.write_bytes(model.SerializeToString())


def function_with(graph: Message, op: str) -> tuple[Message, Message]:
    """Return the function of a graph that has an op, and the node."""
    ((function, node),) = (
        (function, node)
        for function in graph.graph_def.library.function
        for node in function.node_def
        if node.op == op
    )
    return function, node


def add_constant(nodes: Any, name: str, text: str) -> None:  # noqa: ANN401
    """Add a node that gives a string."""
    import tensorflow as tf

    node = nodes.add(name=name, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
