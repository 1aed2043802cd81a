"""Encoders that take the ids of a SentencePiece model as a sparse matrix: values and indices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.manifest import MODEL_FOLDER, is_safe_path

if TYPE_CHECKING:
    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.manifest import Manifest


class SentencePieceEncoder:
    """Universal Sentence Encoder lite. A payload is an int64 array [tokens]: the ids of a text.

    https://tfhub.dev/google/universal-sentence-encoder-lite/2
    """

    # Padded ids: the matrix is sparse, but USE lite is a Transformer and makes it dense. A model
    # that averages its ids is as fast with this budget, on two cores and texts of a sentence.
    # https://github.com/tensorflow/tfjs-models/tree/master/universal-sentence-encoder
    budget = 4096

    def __init__(self, manifest: Manifest, folder: Path, engine: Engine) -> None:
        """Load the SentencePiece model."""
        from sentencepiece import SentencePieceProcessor

        self.engine = engine
        self._values = engine.input_named_by("values")
        self._indices = engine.input_named_by("indices")
        self._dense_shape = engine.input_named_by("dense_shape")
        self._max_tokens: int | None = engine.parameter("max_tokens")
        path = engine.parameter("sentencepiece")
        if not isinstance(path, str) or not is_safe_path(path):
            raise engine.says("sentencepiece", "a path in the model's folder")
        self._pieces = SentencePieceProcessor()
        try:
            self._pieces.Load(str(folder / MODEL_FOLDER / path))
        except (OSError, RuntimeError) as error:
            raise engine.error(f"has no SentencePiece model in '{path}' ({error})") from None

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenize, count, and keep the first ids where there is a limit."""
        return [self._prepared(self._pieces.EncodeAsIds(text)) for text in texts]

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Run the model on the rows of one sparse matrix."""
        lengths = [len(payload) for payload in payloads]
        rows = np.repeat(np.arange(len(payloads)), lengths)
        columns = np.concatenate([np.arange(length) for length in lengths])
        inputs = (
            (self._values, np.concatenate(payloads)),
            (self._indices, np.stack([rows, columns], 1)),
            (self._dense_shape, [len(payloads), max(lengths)]),
        )
        return self.engine({name: np.asarray(values, one.dtype) for (name, one), values in inputs})

    def _prepared(self, ids: list[int]) -> Prepared:
        kept = np.array(ids[: self._max_tokens], np.int64)
        return Prepared(kept, len(kept), len(ids), len(kept) < len(ids))
