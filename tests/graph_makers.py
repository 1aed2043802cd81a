"""Small SavedModels of any graph, and changes to them that TensorFlow would not make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import makers
import numpy as np

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


def save_ids(
    folder: Path,
    function: Callable[..., Tensor],
    *,
    dtype: str = "int32",
    length: int | None = None,
    masked: bool = True,
) -> Path:
    """Save a model that makes what this function does of token ids, and of a mask; a tokenizer too.

    `length` is that of its inputs; None leaves it open.
    """
    names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    inputs = [([None, length], dtype, name) for name in names]
    save(folder, {"serving_default": lambda *given: {"vector": function(*given)}}, *inputs)
    makers.save_tokenizer(folder / "tokenizer.json")
    return folder


# Rows of ids and of places: `states` is made of them here, and in NumPy where it is tested.
WIDTH, MOST_PLACES = 8, 64
ROWS = np.random.default_rng(61).normal(size=(300, WIDTH)).astype(np.float32)
PLACES = np.random.default_rng(62).normal(size=(MOST_PLACES, WIDTH)).astype(np.float32)


def states(ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return states [texts, tokens, WIDTH]: sin(row of the id + row of its place), padding too."""
    import tensorflow as tf

    del mask
    count = tf.shape(ids)[1]
    places = tf.gather(PLACES, tf.range(count))
    return tf.sin(tf.gather(ROWS, ids) + tf.reshape(places, [1, count, WIDTH]))


def states_in_numpy(ids: Sequence[int]) -> np.ndarray:
    """Return what `states` gives for one text, without padding: [tokens, WIDTH]."""
    return np.sin(ROWS[list(ids)].astype(np.float64) + PLACES[: len(ids)])


def mean(ids: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the states of a text's own tokens: [texts, WIDTH]."""
    import tensorflow as tf

    shape = tf.shape(ids)
    weights = tf.reshape(tf.cast(mask, tf.float32), [shape[0], shape[1], 1])
    return tf.reduce_sum(states(ids) * weights, 1) / tf.reduce_sum(weights, 1)
