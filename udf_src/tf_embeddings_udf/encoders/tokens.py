"""Encoders that take input ids and a mask, with a Hugging Face `tokenizer.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.saved_model import Function
from tf_embeddings_udf.manifest import MODEL_FOLDER

if TYPE_CHECKING:
    from tf_embeddings_udf.manifest import Manifest

# An encoding weighs about 150 bytes a token until it is truncated: tokenise so many characters
# at a time, so that 2,048 rows of 100,000 characters do not need gigabytes.
_CHARACTERS_AT_A_TIME = 4_000_000

_POOLINGS = ("mean", "cls", "max")

Tensor = Any  # TensorFlow ships no types


class TokensEncoder:
    """BERT and its family. A payload is an int array [2, tokens]: ids and segment ids."""

    counts_tokens = True
    # Padded tokens. On two cores MiniLM is as fast with 1,024; with 4,096 it is a quarter slower
    # on texts of mixed lengths, with 65,536 it is half as fast.
    budget = 2048

    def __init__(self, manifest: Manifest, folder: Path, threads: int) -> None:
        """Load the tokenizer and the model."""
        # The tokenizer's own threads do not survive a fork, and tokenising is 2 % of the work.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        self._model = Function(manifest, folder, threads)
        self._ids = self._model.input_named_by("input_ids")
        self._mask = self._optional_input("attention_mask")
        self._segments = self._optional_input("token_type_ids")
        self._length = self._model.fixed_length(self._ids[0])
        self._pooling = self._model.parameter("pooling")
        if self._pooling not in (None, *_POOLINGS):
            raise self._model.says("pooling", f"null, {', '.join(_POOLINGS)}")

        name = str(manifest.encoder.get("tokenizer", "tokenizer.json"))
        self._tokenizer = Tokenizer.from_file(str(folder / MODEL_FOLDER / name))
        # What the file says of padding and of the limit is how somebody once called it; the side
        # that is cut, and the padding's id, belong to the model.
        self._direction = (self._tokenizer.truncation or {}).get("direction", "right")
        self._pad_id = (self._tokenizer.padding or {}).get("pad_id", 0)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._max_tokens: int = manifest.encoder["max_tokens"]
        self._encode = getattr(
            self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch
        )  # without offsets; new in tokenizers 0.20

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise, count, and truncate as the model's own tokenizer does."""
        return [
            self._prepared(encoding)
            for some in _portions(texts)
            for encoding in self._encode(some, add_special_tokens=False)
        ]

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Run the model on padded rows, and pool what it gives."""
        if self._mask is not None:
            return self._run(payloads)
        # It cannot tell padding from text, so only rows of one length go together.
        lengths = np.array([payload.shape[1] for payload in payloads])
        together = [np.flatnonzero(lengths == length).tolist() for length in np.unique(lengths)]
        vectors = [self._run([payloads[row] for row in rows]) for rows in together]
        return np.concatenate(vectors)[np.argsort(np.concatenate(together))]

    def _run(self, payloads: Sequence[Any]) -> np.ndarray:
        longest = self._length or max(payload.shape[1] for payload in payloads)
        shape = (len(payloads), longest)
        ids, ids_type = self._ids
        mask, mask_type = self._mask or ("", self._model.tf.int32)
        inputs = {
            ids: np.full(shape, self._pad_id, ids_type.as_numpy_dtype),
            mask: np.zeros(shape, mask_type.as_numpy_dtype),
        }
        for row, payload in enumerate(payloads):
            length = payload.shape[1]
            inputs[ids][row, :length] = payload[0]
            inputs[mask][row, :length] = 1
        if self._segments is not None:
            segments, segments_type = self._segments
            inputs[segments] = np.zeros(shape, segments_type.as_numpy_dtype)
            for row, payload in enumerate(payloads):
                inputs[segments][row, : payload.shape[1]] = payload[1]
        tensors = {name: self._model.tf.constant(value) for name, value in inputs.items()}
        of_mask = tensors[mask] if self._mask else tensors.pop(mask)
        return self._pooled(self._model(**tensors), of_mask).numpy()

    def _pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """Make one vector of a text's tokens, [texts, numbers]; padding has no part in it."""
        if self._pooling is None:
            return states
        if len(states.shape) != 3:
            raise self._model.error(
                f"gave an output of shape {list(states.shape)}, and pooling '{self._pooling}' "
                f"takes [texts, tokens, numbers]"
            )
        tf = self._model.tf
        if self._pooling == "cls":
            return states[:, 0]
        is_token = tf.cast(mask, tf.bool)[:, :, None]
        if self._pooling == "max":
            return tf.reduce_max(tf.where(is_token, states, states.dtype.min), 1)
        sums = tf.reduce_sum(tf.where(is_token, states, 0), 1)
        return sums / tf.reduce_sum(tf.cast(is_token, states.dtype), 1)

    def _optional_input(self, parameter: str) -> tuple[str, Any] | None:
        if self._model.parameter(parameter) is None:
            return None
        return self._model.input_named_by(parameter)

    def _prepared(self, encoding: Any) -> Prepared:  # noqa: ANN401 - tokenizers.Encoding
        own_tokens = len(encoding)
        if not own_tokens:
            return Prepared(payload=None, cost=0, token_count=0, is_truncated=False)
        count = own_tokens + self._special
        is_truncated = count > self._max_tokens
        if is_truncated:
            encoding.truncate(self._max_tokens - self._special, direction=self._direction)
        whole = self._tokenizer.post_process(encoding)
        payload = np.array([whole.ids, whole.type_ids], np.int32)
        return Prepared(payload, self._length or payload.shape[1], count, is_truncated)


def load(manifest: Manifest, folder: Path, threads: int) -> TokensEncoder:
    """Load the encoder of an unpacked artefact."""
    return TokensEncoder(manifest, folder, threads)


def _portions(texts: Sequence[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    characters = 0
    for text in texts:
        portion.append(text)
        characters += len(text)
        if characters >= _CHARACTERS_AT_A_TIME:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion
