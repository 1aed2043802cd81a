"""Encoders that take strings: the tokenizer is a part of the SavedModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.encoders.saved_model import Signature
from tf_embeddings_udf.errors import TfEmbeddingsError

if TYPE_CHECKING:
    from tf_embeddings_udf.manifest import Manifest


class TextEncoder:
    """Universal Sentence Encoder, NNLM, Keras models. A payload is a text's UTF-8 bytes."""

    counts_tokens = False
    budget = 65_536  # bytes of text, padded to the longest: about 16,384 tokens

    def __init__(self, manifest: Manifest, folder: Path, threads: int) -> None:
        """Load the model."""
        self._signature = Signature(manifest, folder, threads)
        self._input, _ = self._signature.input_named_by("input")
        self._rank = manifest.encoder.get("rank")
        if self._rank not in (1, 2):
            raise TfEmbeddingsError(
                f"tf_embeddings: the manifest of model '{manifest.model}' says encoder.rank: "
                f"{self._rank!r}, not 1 or 2. Stage the model again."
            )

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Encode as UTF-8."""
        payloads = [text.encode() for text in texts]
        return [Prepared(payload, len(payload), None, None) for payload in payloads]

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Run the model on a vector of strings, or on a column of them."""
        # From a list: NumPy's own byte strings would lose NUL characters at the end.
        strings = self._signature.tf.constant(list(payloads))
        if self._rank == 2:
            strings = self._signature.tf.reshape(strings, [-1, 1])
        return self._signature({self._input: strings})


def load(manifest: Manifest, folder: Path, threads: int) -> TextEncoder:
    """Load the encoder of an unpacked artefact."""
    return TextEncoder(manifest, folder, threads)
