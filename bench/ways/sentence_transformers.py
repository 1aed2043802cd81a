"""Sentence Transformers on the same weights, with its defaults: batches of 32 by length, CPU."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from worker import Call, Way


def start(folder: str) -> Way:
    """Load the folder of a sentence encoder."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            return model.encode(list(texts), show_progress_bar=False)

        return call

    return way
