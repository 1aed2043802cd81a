"""Encoders that take the ids of a SentencePiece model as a sparse matrix: values and indices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.saved_model import Function
from tf_embeddings_udf.manifest import MODEL_FOLDER, is_safe_path

if TYPE_CHECKING:
    from tf_embeddings_udf.manifest import Manifest


class SentencePieceEncoder:
    """Universal Sentence Encoder lite. A payload is an int64 array [tokens]: the ids of a text.

    https://tfhub.dev/google/universal-sentence-encoder-lite/2
    """

    counts_tokens = True
    # Ids, padded: the matrix is sparse, but a Transformer, which USE lite is, makes it dense. On
    # two cores a model that averages its ids is as fast with it on texts of a sentence or two.
    # https://github.com/tensorflow/tfjs-models/tree/master/universal-sentence-encoder
    budget = 4096

    def __init__(self, manifest: Manifest, folder: Path, threads: int) -> None:
        """Load the SentencePiece model and the model."""
        from sentencepiece import SentencePieceProcessor

        self._model = Function(manifest, folder, threads)
        self._values = self._model.input_named_by("values")
        self._indices = self._model.input_named_by("indices")
        self._dense_shape = self._model.input_named_by("dense_shape")
        self._max_tokens: int | None = self._model.parameter("max_tokens")
        path = self._model.parameter("sentencepiece")
        if not isinstance(path, str) or not is_safe_path(path):
            raise self._model.says("sentencepiece", "a path in the model's folder")
        self._pieces = SentencePieceProcessor()
        try:
            self._pieces.Load(str(folder / MODEL_FOLDER / path))
        except (OSError, RuntimeError) as error:
            raise self._model.error(f"has no SentencePiece model in '{path}' ({error})") from None

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise, count, and keep the first ids where there is a limit."""
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
        constant = self._model.tf.constant
        return self._model(
            **{name: constant(values, of_type) for (name, of_type), values in inputs}
        ).numpy()

    def _prepared(self, ids: list[int]) -> Prepared:
        kept = np.array(ids[: self._max_tokens], np.int64)
        return Prepared(kept, len(kept), len(ids), len(kept) < len(ids))


def load(manifest: Manifest, folder: Path, threads: int) -> SentencePieceEncoder:
    """Load the encoder of an unpacked artefact."""
    return SentencePieceEncoder(manifest, folder, threads)
