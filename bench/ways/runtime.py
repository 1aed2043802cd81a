"""Our runtime, on the artifact's engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from worker import Call, Way


def start(udf_src: str, folder: str, threads: str) -> Way:
    """Load an unpacked artifact; with 0 threads it takes one a core."""
    import sys

    sys.path.insert(0, udf_src)
    from tf_embeddings_udf import load

    embedder = load(folder, int(threads))

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            return embedder.embed(texts).embeddings

        return call

    return way
