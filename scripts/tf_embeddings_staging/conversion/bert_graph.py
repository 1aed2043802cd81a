"""The BERT family of sentence encoders as a TensorFlow SavedModel.

The graph is BERT as published (https://arxiv.org/abs/1810.04805), in plain TensorFlow ops, so
that it runs wherever TensorFlow does. This module imports TensorFlow, so only the worker process
imports it.

Measured on a CPU (MiniLM, batches of 4,096 tokens, one thread): two-dimensional matmuls run 15 %
faster than tensordot, because TensorFlow fuses them with bias and gelu; one matmul for query, key
and value together, or other ways to write the layer norm and gelu, differ by 3 % at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_embeddings_staging.conversion.bert import BertConfig, read_weights

_ACTIVATIONS = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
    "relu": tf.nn.relu,
}

Tensors = Mapping[str, np.ndarray]


def convert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the weights of a sentence encoder, in the worker: see `save`."""
    config = BertConfig(**request["config"])
    save(config, Path(request["weights"]), request["pooling"], Path(request["target"]))
    return {}


def save(config: BertConfig, weights: Path, pooling: str, target: Path) -> None:
    """Convert to a SavedModel.

    Its signature `serving_default` takes input_ids and attention_mask, int32 [n, tokens], and
    gives `embedding`, float32 [n, hidden_size]: pooled, not normalized.

    Raises:
        StagingError: the weights are not a BERT of this configuration.
    """
    encoder = Encoder(config, read_weights(config, weights), pooling)
    tf.saved_model.save(encoder, str(target), signatures={"serving_default": encoder.embed})


def _variable(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(tf.constant(values), name=name)


class Norm(tf.Module):
    """Layer normalization over the last axis."""

    def __init__(self, tensors: Tensors, name: str, epsilon: float) -> None:
        """Take the weights of this name."""
        super().__init__(name="norm")
        self.epsilon = epsilon
        self.scale = _variable(tensors[f"{name}.weight"], "scale")
        self.shift = _variable(tensors[f"{name}.bias"], "shift")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Return x of mean 0 and variance 1, scaled and shifted."""
        centered = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centered), -1, keepdims=True)
        return centered * tf.math.rsqrt(variance + self.epsilon) * self.scale + self.shift


class Dense(tf.Module):
    """A linear map of rows: [n, in] to [n, out]."""

    def __init__(self, tensors: Tensors, name: str, factor: float = 1.0) -> None:
        """Take the weights of this name, times `factor`."""
        super().__init__(name="dense")
        scale = np.float32(factor)
        self.kernel = _variable(tensors[f"{name}.weight"].T * scale, "kernel")
        self.bias = _variable(tensors[f"{name}.bias"] * scale, "bias")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Return x times the kernel plus the bias."""
        return tf.nn.bias_add(tf.matmul(x, self.kernel), self.bias)


class Layer(tf.Module):
    """One transformer layer, over the tokens of all rows as one matrix [rows * tokens, hidden]."""

    def __init__(self, config: BertConfig, tensors: Tensors, name: str) -> None:
        """Take the weights of this layer."""
        super().__init__(name="layer")
        self.hidden = config.hidden_size
        self.heads = config.num_attention_heads
        self.width = self.hidden // self.heads
        self.activation = _ACTIVATIONS[config.hidden_act]
        epsilon = config.layer_norm_eps
        # The scale of attention's scores, 1 / sqrt(width), is in the query's weights.
        self.query = Dense(tensors, f"{name}.attention.self.query", self.width**-0.5)
        self.key = Dense(tensors, f"{name}.attention.self.key")
        self.value = Dense(tensors, f"{name}.attention.self.value")
        self.attended = Dense(tensors, f"{name}.attention.output.dense")
        self.attended_norm = Norm(tensors, f"{name}.attention.output.LayerNorm", epsilon)
        self.inner = Dense(tensors, f"{name}.intermediate.dense")
        self.outer = Dense(tensors, f"{name}.output.dense")
        self.outer_norm = Norm(tensors, f"{name}.output.LayerNorm", epsilon)

    def __call__(self, x: tf.Tensor, masking: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        """Attend within each row, then transform each token."""
        query, key = self._by_head(self.query(x), shape), self._by_head(self.key(x), shape)
        attention = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + masking)
        mixed = tf.matmul(attention, self._by_head(self.value(x), shape))
        mixed = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [-1, self.hidden])
        x = self.attended_norm(x + self.attended(mixed))
        return self.outer_norm(x + self.outer(self.activation(self.inner(x))))

    def _by_head(self, x: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        by_token = tf.reshape(x, [shape[0], shape[1], self.heads, self.width])
        return tf.transpose(by_token, [0, 2, 1, 3])


class Encoder(tf.Module):
    """BERT and its pooling: from token ids to one vector a row."""

    def __init__(self, config: BertConfig, tensors: Tensors, pooling: str) -> None:
        """Take the weights of the whole encoder."""
        super().__init__(name="encoder")
        self.pooling = pooling
        self.hidden = config.hidden_size
        embeddings = "embeddings.{}_embeddings.weight".format
        self.words = _variable(tensors[embeddings("word")], "words")
        # A text on its own is all of segment 0.
        segment = tensors[embeddings("token_type")][0]
        self.positions = _variable(tensors[embeddings("position")] + segment, "positions")
        self.norm = Norm(tensors, "embeddings.LayerNorm", config.layer_norm_eps)
        self.layers = [
            Layer(config, tensors, f"encoder.layer.{layer}")
            for layer in range(config.num_hidden_layers)
        ]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32, name="input_ids"),
            tf.TensorSpec([None, None], tf.int32, name="attention_mask"),
        ]
    )
    def embed(self, input_ids: tf.Tensor, attention_mask: tf.Tensor) -> Mapping[str, Any]:
        """Return the vectors of rows of token ids; a mask of 0 marks padding."""
        shape = tf.shape(input_ids)
        mask = tf.cast(attention_mask, tf.float32)
        # LiteRT's converter takes no new axis of an open shape, [:, None]: reshape is the same.
        masking = tf.reshape((1.0 - mask) * -1e9, [shape[0], 1, 1, shape[1]])
        x = tf.gather(self.words, input_ids) + self.positions[: shape[1]]
        x = self.norm(tf.reshape(x, [-1, self.hidden]))
        for layer in self.layers:
            x = layer(x, masking, shape)
        x = tf.reshape(x, [shape[0], shape[1], self.hidden])
        if self.pooling == "cls":
            return {"embedding": x[:, 0]}
        total = tf.reduce_sum(x * tf.reshape(mask, [shape[0], shape[1], 1]), 1)
        count = tf.reduce_sum(mask, 1, keepdims=True)
        return {"embedding": total / tf.maximum(count, 1e-9)}
