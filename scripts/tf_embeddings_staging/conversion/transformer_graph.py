"""A transformer encoder as a TensorFlow SavedModel.

The graph has BERT as published (https://arxiv.org/abs/1810.04805) and what later families changed,
in plain TensorFlow ops, so that it runs wherever TensorFlow does, and converts to LiteRT. This
module imports TensorFlow, so only the worker process imports it.

Measured on a CPU (MiniLM, batches of 4,096 tokens, one thread): two-dimensional matmuls run 15 %
faster than tensordot, because TensorFlow fuses them with bias and gelu; one matmul for query, key
and value together, or other ways to write the layer norm and gelu, differ by 3 % at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_embeddings_staging.conversion.dense_module import DenseModule
from tf_embeddings_staging.conversion.encoder_folder import Scoring
from tf_embeddings_staging.conversion.families import Architecture
from tf_embeddings_staging.conversion.transformer import read_weights

_ACTIVATIONS = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "identity": tf.identity,
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    "silu": tf.nn.silu,
    "tanh": tf.tanh,
}
# The distance from which on MPNet's last bucket holds all (and T5's, where they are from).
_FARTHEST = 128
_MASKED = -1e9

Tensors = Mapping[str, np.ndarray]


def convert_task(request: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the weights of a sentence encoder, in the worker: see `save`."""
    architecture = dict(request["config"])
    for name in ("rotary", "windows"):
        architecture[name] = tuple(architecture.get(name, ()))
    save(
        Architecture(**architecture),
        [Path(path) for path in request["weights"]],
        request["pooling"],
        [DenseModule.of(one) for one in request.get("dense", [])],
        Path(request["target"]),
        Scoring(**request["scoring"]) if request.get("scoring") else None,
    )
    return {}


def save(
    architecture: Architecture,
    weights: Sequence[Path],
    pooling: str,
    dense: Sequence[DenseModule],
    target: Path,
    scoring: Scoring | None = None,
) -> None:
    """Convert to a SavedModel.

    Its signature `serving_default` takes input_ids and attention_mask, int32 [n, tokens], and
    gives `embedding`, float32 [n, dimensions]: pooled, not normalized. That of a cross-encoder
    takes token_type_ids too if it has segments, and gives a score, float32 [n, 1].

    Raises:
        StagingError: the weights are not an encoder of this architecture.
    """
    tensors = read_weights(architecture, weights, with_head=scoring is not None)
    encoder = Encoder(architecture, tensors, pooling, dense, scoring)
    tf.saved_model.save(encoder, str(target), signatures={"serving_default": encoder.embed})


def _variable(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(tf.constant(values), name=name)


class Norm(tf.Module):
    """Layer normalization over the last axis."""

    def __init__(self, tensors: Tensors, name: str, epsilon: float) -> None:
        """Take the weights of this name; a family may have no shift."""
        super().__init__(name="norm")
        self.epsilon = epsilon
        self.scale = _variable(tensors[f"{name}.weight"], "scale")
        shift = tensors.get(f"{name}.bias")
        self.shift = None if shift is None else _variable(shift, "shift")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Return x of mean 0 and variance 1, scaled and shifted."""
        centered = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centered), -1, keepdims=True)
        scaled = centered * tf.math.rsqrt(variance + self.epsilon) * self.scale
        return scaled if self.shift is None else scaled + self.shift


class Dense(tf.Module):
    """A linear map of rows: [n, in] to [n, out]."""

    def __init__(self, tensors: Tensors, name: str, factor: float = 1.0) -> None:
        """Take the weights of this name, times `factor`; a family may have no bias."""
        super().__init__(name="dense")
        scale = np.float32(factor)
        self.kernel = _variable(tensors[f"{name}.weight"].T * scale, "kernel")
        bias = tensors.get(f"{name}.bias")
        self.bias = None if bias is None else _variable(bias * scale, "bias")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Return x times the kernel plus the bias."""
        product = tf.matmul(x, self.kernel)
        return product if self.bias is None else tf.nn.bias_add(product, self.bias)


@dataclass(frozen=True)
class Batch:
    """What all layers share of one batch.

    Attributes:
        shape: rows and tokens.
        masking: what is added to the scores of attention to all tokens.
        local: the same within each window.
        rotations: cosine and sine [tokens, half a head], by the base of the rotary positions.
    """

    shape: tf.Tensor
    masking: tf.Tensor
    local: Mapping[int, tf.Tensor]
    rotations: Mapping[float, tuple[tf.Tensor, tf.Tensor]]


class Layer(tf.Module):
    """One transformer layer, over the tokens of all rows as one matrix [rows * tokens, hidden]."""

    def __init__(self, architecture: Architecture, tensors: Tensors, number: int) -> None:
        """Take the weights of this layer."""
        super().__init__(name="layer")
        name = f"layers.{number}"
        self.hidden = architecture.hidden_size
        self.heads = architecture.num_attention_heads
        self.width = self.hidden // self.heads
        self.activation = _ACTIVATIONS[architecture.hidden_act]
        self.pre_norm = architecture.pre_norm
        self.rotary = architecture.rotary[number] if architecture.rotary else 0.0
        self.window = architecture.windows[number] if architecture.windows else 0
        # The scale of attention's scores, 1 / sqrt(width), is in the query's weights.
        self.query = Dense(tensors, f"{name}.query", self.width**-0.5)
        self.key = Dense(tensors, f"{name}.key")
        self.value = Dense(tensors, f"{name}.value")
        self.attended = Dense(tensors, f"{name}.attended")
        self.attended_norm = _norm_if_any(architecture, tensors, f"{name}.attended_norm")
        self.inner = Dense(tensors, f"{name}.inner")
        has_gate = f"{name}.gate.weight" in tensors
        self.gate = Dense(tensors, f"{name}.gate") if has_gate else None
        self.outer = Dense(tensors, f"{name}.outer")
        self.outer_norm = Norm(tensors, f"{name}.outer_norm", architecture.layer_norm_eps)

    def __call__(self, x: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Attend within each row, then transform each token."""
        if self.pre_norm:
            x = x + self._attend(self.attended_norm(x) if self.attended_norm else x, batch)
            return x + self._transform(self.outer_norm(x))
        x = self.attended_norm(x + self._attend(x, batch)) if self.attended_norm else x
        return self.outer_norm(x + self._transform(x))

    def _attend(self, x: tf.Tensor, batch: Batch) -> tf.Tensor:
        query, key = self._by_head(self.query(x), batch), self._by_head(self.key(x), batch)
        if self.rotary:
            rotation = batch.rotations[self.rotary]
            query, key = _rotated(query, rotation), _rotated(key, rotation)
        masking = batch.local[self.window] if self.window else batch.masking
        attention = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + masking)
        mixed = tf.matmul(attention, self._by_head(self.value(x), batch))
        return self.attended(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [-1, self.hidden]))

    def _transform(self, x: tf.Tensor) -> tf.Tensor:
        inner = self.activation(self.inner(x))
        return self.outer(inner if self.gate is None else inner * self.gate(x))

    def _by_head(self, x: tf.Tensor, batch: Batch) -> tf.Tensor:
        shape = [batch.shape[0], batch.shape[1], self.heads, self.width]
        return tf.transpose(tf.reshape(x, shape), [0, 2, 1, 3])


def _norm_if_any(architecture: Architecture, tensors: Tensors, name: str) -> Norm | None:
    there = f"{name}.weight" in tensors
    return Norm(tensors, name, architecture.layer_norm_eps) if there else None


def _rotated(x: tf.Tensor, rotation: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Turn each pair of components by its token's angle: rotary positions."""
    cosine, sine = rotation
    first, second = tf.split(x, 2, -1)
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], -1)


class Encoder(tf.Module):
    """A transformer, its pooling and its dense modules: from token ids to one vector a row.

    A cross-encoder's goes from the token ids of a pair to a score: a layer with tanh over the first
    token, and a classifier.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Tensors,
        pooling: str,
        dense: Sequence[DenseModule] = (),
        scoring: Scoring | None = None,
    ) -> None:
        """Take the weights of the whole encoder."""
        super().__init__(name="encoder")
        self.pooling = pooling
        self.architecture = architecture
        self.hidden = architecture.hidden_size
        self.words = _variable(tensors["words.weight"], "words")
        self.positions = self.segment = self.segments = self.relative = None
        segment = None
        has_segments = scoring is not None and scoring.has_segments
        if has_segments:
            self.segments = _variable(tensors["segments.weight"], "segments")
        elif "segments.weight" in tensors:
            # A text on its own is all of segment 0.
            segment = tensors["segments.weight"][0]
        if "positions.weight" in tensors:
            positions = tensors["positions.weight"]
            positions = positions if segment is None else positions + segment
            self.positions = _variable(positions, "positions")
        elif segment is not None:
            self.segment = _variable(segment, "segment")
        if "relative.weight" in tensors:
            by_distance = _by_distance(tensors["relative.weight"], architecture.most_tokens)
            self.relative = _variable(by_distance, "relative")
        self.norm = Norm(tensors, "embedding_norm", architecture.layer_norm_eps)
        self.layers = [
            Layer(architecture, tensors, layer) for layer in range(architecture.num_hidden_layers)
        ]
        self.final_norm = _norm_if_any(architecture, tensors, "final_norm")
        self.dense = [
            (Dense(one.tensors(), "linear"), _ACTIVATIONS[one.activation]) for one in dense
        ]
        if scoring:
            self.dense = [
                (Dense(tensors, "pooler"), tf.tanh),
                (Dense(tensors, "classifier"), _ACTIVATIONS[scoring.activation]),
            ]
        names = ["input_ids", "attention_mask", *(["token_type_ids"] if has_segments else [])]
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in names]
        self.embed = tf.function(self._embed, input_signature=specs)

    def _embed(
        self,
        input_ids: tf.Tensor,
        attention_mask: tf.Tensor,
        token_type_ids: tf.Tensor | None = None,
    ) -> Mapping[str, Any]:
        """Return the vectors of rows of token ids; a mask of 0 marks padding."""
        shape = tf.shape(input_ids)
        mask = tf.cast(attention_mask, tf.float32)
        x = tf.gather(self.words, input_ids)
        if self.positions is not None:
            x = x + self._placed(self.positions, input_ids, shape)
        if self.segment is not None:
            x = x + self.segment
        if self.segments is not None:
            x = x + tf.gather(self.segments, token_type_ids)
        x = self.norm(tf.reshape(x, [-1, self.hidden]))
        batch = self._batch(shape, mask)
        for layer in self.layers:
            x = layer(x, batch)
        x = self.final_norm(x) if self.final_norm else x
        x = tf.reshape(x, [shape[0], shape[1], self.hidden])
        vector = _pooled(self.pooling, x, mask, shape)
        for dense, activation in self.dense:
            vector = activation(dense(vector))
        return {"embedding": vector}

    def _placed(self, positions: tf.Variable, ids: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        """Return the vector of each token's position.

        RoBERTa's family counts from behind the padding token's position, which padding keeps, also
        where a text has that token.
        """
        if not (first := self.architecture.first_position):
            return positions[: shape[1]]
        counts = tf.cast(tf.not_equal(ids, first - 1), tf.int32)
        return tf.gather(positions, tf.cumsum(counts, 1) * counts + (first - 1))

    def _batch(self, shape: tf.Tensor, mask: tf.Tensor) -> Batch:
        # LiteRT's converter takes no new axis of an open shape, [:, None]: reshape is the same.
        masking = tf.reshape((1.0 - mask) * _MASKED, [shape[0], 1, 1, shape[1]])
        architecture = self.architecture
        local, rotations = {}, {}
        if architecture.rotary or any(architecture.windows) or self.relative is not None:
            place = tf.range(shape[1])
            column, row = tf.reshape(place, [-1, 1]), tf.reshape(place, [1, -1])
            if self.relative is not None:
                distance = row - column + (architecture.most_tokens - 1)
                masking = masking + tf.gather(self.relative, distance, axis=1)
            for window in {*architecture.windows} - {0}:
                far = tf.cast(tf.abs(row - column) > window, tf.float32) * _MASKED
                local[window] = masking + far
            width = self.hidden // architecture.num_attention_heads
            for base in {*architecture.rotary}:
                steps = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
                frequency = (1.0 / np.float32(base) ** steps).astype(np.float32)
                angle = tf.cast(column, tf.float32) * frequency.reshape(1, -1)
                rotations[base] = (tf.cos(angle), tf.sin(angle))
        return Batch(shape, masking, local, rotations)


def _by_distance(table: np.ndarray, most_tokens: int) -> np.ndarray:
    """Return the bias of attention, [heads, 2 * most_tokens - 1], by key's minus query's place.

    Half of the buckets are for what comes after; in each half, the first half is one distance a
    bucket, and the rest grows as the logarithm does: https://arxiv.org/abs/1910.10683, as MPNet's
    own code does it.
    """
    distance = np.arange(-most_tokens + 1, most_tokens)
    half = len(table) // 2
    exact = half // 2
    far = np.maximum(np.abs(distance), 1).astype(np.float32) / np.float32(exact)
    slope = np.float32(math.log(_FARTHEST / exact))
    logarithmic = exact + (np.log(far) / slope * (half - exact)).astype(np.int64)
    near = np.abs(distance)
    bucket = np.where(near < exact, near, np.minimum(logarithmic, half - 1))
    return np.ascontiguousarray(table[bucket + np.where(distance > 0, half, 0)].T)


def _pooled(pooling: str, x: tf.Tensor, mask: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Make one vector of those of a row's tokens, as Sentence Transformers' `Pooling` does."""
    if pooling == "cls":
        return x[:, 0]
    by_token = tf.reshape(mask, [shape[0], shape[1], 1])
    if pooling == "max":
        return tf.reduce_max(x + (1.0 - by_token) * _MASKED, 1)
    if pooling == "lasttoken":
        after = tf.concat([mask[:, 1:], tf.zeros([shape[0], 1])], 1)
        last = mask * (1.0 - after)
        return tf.reduce_sum(x * tf.reshape(last, [shape[0], shape[1], 1]), 1)
    if pooling == "weightedmean":
        place = tf.cast(tf.range(shape[1]) + 1, tf.float32)
        by_token = by_token * tf.reshape(place, [1, -1, 1])
    total = tf.reduce_sum(x * by_token, 1)
    count = tf.maximum(tf.reduce_sum(by_token, 1), 1e-9)
    return total / (tf.sqrt(count) if pooling == "mean_sqrt_len" else count)
