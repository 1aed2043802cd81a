"""Encoders that take input ids and a mask, with a Hugging Face `tokenizer.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.saved_model import Signature
from tf_embeddings_udf.manifest import MODEL_FOLDER

if TYPE_CHECKING:
    from tf_embeddings_udf.manifest import Manifest

# An encoding weighs about 150 bytes a token until it is truncated: tokenise so many characters
# at a time, so that 2,048 rows of 100,000 characters do not need gigabytes.
_CHARACTERS_AT_A_TIME = 4_000_000


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

        self._signature = Signature(manifest, folder, threads)
        self._ids, self._ids_type = self._signature.input_named_by("input_ids")
        self._mask, self._mask_type = self._signature.input_named_by("attention_mask")
        self._segments: str | None = None
        if manifest.encoder.get("token_type_ids") is not None:
            self._segments, self._segments_type = self._signature.input_named_by("token_type_ids")

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
        """Pad to the longest row, and run the model."""
        longest = max(payload.shape[1] for payload in payloads)
        shape = (len(payloads), longest)
        ids = np.full(shape, self._pad_id, self._ids_type.as_numpy_dtype)
        mask = np.zeros(shape, self._mask_type.as_numpy_dtype)
        for row, payload in enumerate(payloads):
            length = payload.shape[1]
            ids[row, :length] = payload[0]
            mask[row, :length] = 1
        inputs = {self._ids: ids, self._mask: mask}
        if self._segments:
            segments = np.zeros(shape, self._segments_type.as_numpy_dtype)
            for row, payload in enumerate(payloads):
                segments[row, : payload.shape[1]] = payload[1]
            inputs[self._segments] = segments
        constant = self._signature.tf.constant
        return self._signature({name: constant(value) for name, value in inputs.items()})

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
        return Prepared(payload, payload.shape[1], count, is_truncated)


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
