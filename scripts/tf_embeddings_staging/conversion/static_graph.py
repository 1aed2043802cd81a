"""A static encoder as a TensorFlow SavedModel: a table, and the sums of its vectors by text.

This module imports TensorFlow, so only the worker process imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_embeddings_staging.conversion.dense_module import DenseModule
from tf_embeddings_staging.conversion.static_table import Parts, Table, load_parts


def convert_static_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do the worker's task: {weights, table, dense, target} -> {}: write the SavedModel.

    Its signature `serving_default` takes ids and rows, int32 [tokens], and gives `embedding`,
    float32 [texts, dimensions]: for each row the sum of its tokens' vectors.
    """
    dense = [DenseModule.of(one) for one in request["dense"]]
    parts = load_parts(Path(request["weights"]), Table.of(request["table"]), dense)
    encoder = Encoder(parts)
    target = str(request["target"])
    tf.saved_model.save(encoder, target, signatures={"serving_default": encoder.embed})
    return {}


class Encoder(tf.Module):
    """The table of a static encoder."""

    def __init__(self, parts: Parts) -> None:
        """Take the table, and what goes with it."""
        super().__init__(name="encoder")
        self.vectors = tf.Variable(tf.constant(parts.vectors), name="vectors")
        self.mapping = self.weights = None
        if parts.mapping is not None:
            self.mapping = tf.Variable(tf.constant(parts.mapping), name="mapping")
        if parts.weights is not None:
            self.weights = tf.Variable(tf.constant(parts.weights[:, None]), name="weights")

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32, name="ids"),
            tf.TensorSpec([None], tf.int32, name="rows"),
        ]
    )
    def embed(self, ids: tf.Tensor, rows: tf.Tensor) -> Mapping[str, Any]:
        """Return the sums of the vectors of ids, by row; rows are sorted."""
        places = ids if self.mapping is None else tf.gather(self.mapping, ids)
        # int8 stays int8 until the few vectors that a batch needs are taken.
        vectors = tf.cast(tf.gather(self.vectors, places), tf.float32)
        if self.weights is not None:
            vectors = vectors * tf.gather(self.weights, ids)
        return {"embedding": tf.math.segment_sum(vectors, rows)}
