"""Encoders that take input ids and a mask, with a Hugging Face `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.tokenizing import encodings, load_tokenizer
from tf_embeddings_udf.engines import LITERT, TENSORFLOW
from tf_embeddings_udf.manifest import MODEL_FOLDER

if TYPE_CHECKING:
    from tf_embeddings_udf.engines import Engine, Input
    from tf_embeddings_udf.manifest import Manifest

# Padded tokens of a batch. On two cores, MiniLM: LiteRT is as fast with 1,024 and a tenth slower
# with 2,048; TensorFlow is as fast with 1,024, a quarter slower with 4,096 on texts of mixed
# lengths, and half as fast with 65,536.
_BUDGETS = {LITERT: 512, TENSORFLOW: 2048}

_POOLINGS = ("mean", "cls", "max")


class TokensEncoder:
    """BERT and its family. A payload is an int array [2, tokens]: ids and segment ids."""

    def __init__(self, manifest: Manifest, folder: Path, engine: Engine) -> None:
        """Load the tokenizer."""
        self.engine = engine
        self.budget = _BUDGETS[engine.name]
        self._ids = engine.input_named_by("input_ids")
        self._mask = self._optional_input("attention_mask")
        self._segments = self._optional_input("token_type_ids")
        shape = self._ids[1].shape
        self._length = shape[1] if shape and len(shape) == 2 else None
        self._pooling = engine.parameter("pooling")
        if self._pooling not in (None, *_POOLINGS):
            raise engine.says("pooling", f"null, {', '.join(_POOLINGS)}")

        name = str(manifest.encoder.get("tokenizer", "tokenizer.json"))
        self._tokenizer = load_tokenizer(folder / MODEL_FOLDER / name)
        # The file's padding and limit are from an earlier call of the tokenizer and do not count;
        # the side that is cut, and the padding's id, belong to the model.
        self._direction = (self._tokenizer.truncation or {}).get("direction", "right")
        self._pad_id = (self._tokenizer.padding or {}).get("pad_id", 0)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._max_tokens: int = manifest.encoder["max_tokens"]

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenize, count, and truncate as the model's own tokenizer does."""
        return [self._prepared(encoding) for encoding in encodings(self._tokenizer, texts)]

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Run the model on padded rows, and pool what it gives."""
        if self._mask is not None:
            return self._run(payloads)
        # Without a mask it cannot tell padding from text, so only rows of one length go together.
        lengths = np.array([payload.shape[1] for payload in payloads])
        together = [np.flatnonzero(lengths == length).tolist() for length in np.unique(lengths)]
        vectors = [self._run([payloads[row] for row in rows]) for rows in together]
        return np.concatenate(vectors)[np.argsort(np.concatenate(together))]

    def _run(self, payloads: Sequence[Any]) -> np.ndarray:
        lengths = np.array([payload.shape[1] for payload in payloads])
        longest = self._length or int(lengths.max())
        is_token = np.arange(longest) < lengths[:, None]
        rows = np.concatenate(payloads, 1)
        ids, of_ids = self._ids
        inputs = {ids: np.full(is_token.shape, self._pad_id, of_ids.dtype)}
        inputs[ids][is_token] = rows[0]
        if self._mask is not None:
            mask, of_mask = self._mask
            inputs[mask] = is_token.astype(of_mask.dtype)
        if self._segments is not None:
            segments, of_segments = self._segments
            inputs[segments] = np.zeros(is_token.shape, of_segments.dtype)
            inputs[segments][is_token] = rows[1]
        return self._pooled(self.engine(inputs), is_token)

    def _pooled(self, states: np.ndarray, is_token: np.ndarray) -> np.ndarray:
        """Make one vector of those of a text's tokens, [texts, numbers]; padding does not count."""
        if self._pooling is None:
            return states
        if states.ndim != 3:
            raise self.engine.error(
                f"gave an output of shape {list(states.shape)}, and pooling '{self._pooling}' "
                f"takes [texts, tokens, numbers]"
            )
        if self._pooling == "cls":
            return states[:, 0]
        is_token = is_token[:, :, None]
        if self._pooling == "max":
            return np.where(is_token, states, np.finfo(states.dtype).min).max(1)
        return np.where(is_token, states, 0).sum(1) / is_token.sum(1, dtype=states.dtype)

    def _optional_input(self, parameter: str) -> tuple[str, Input] | None:
        if self.engine.parameter(parameter) is None:
            return None
        return self.engine.input_named_by(parameter)

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
