"""Only the model's matrix products, in NumPy's OpenBLAS: the machine's limit.

Each layer of a Transformer multiplies by six weight matrices: four for attention, two for the
feed-forward part. Nothing else of the model runs, so the result has no meaning.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from worker import Call, Way

# MiniLM's.
LAYERS, WIDTH, INNER_WIDTH = 6, 384, 1536


def start(tokenizer_file: str, max_tokens: str, budget: str, threads: str) -> Way:
    """Make random weights with the model's shapes."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy reads it at import.
    import numpy as np

    from ways.sorted_batches import run_sorted, tokenizer

    random = np.random.default_rng(0)
    shapes = [(WIDTH, WIDTH)] * 4 + [(WIDTH, INNER_WIDTH), (INNER_WIDTH, WIDTH)]
    layers = [[random.random(shape, np.float32) for shape in shapes] for _ in range(LAYERS)]

    def run(ids: np.ndarray, _: np.ndarray) -> np.ndarray:
        narrow = np.ones((ids.size, WIDTH), np.float32)
        wide = np.ones((ids.size, INNER_WIDTH), np.float32)
        result = np.empty_like(narrow)
        for *attention, up, down in layers:
            for matrix in attention:
                np.matmul(narrow, matrix, out=result)
            np.matmul(narrow, up, out=wide)
            np.matmul(wide, down, out=result)
        return result[: len(ids)]

    pool = ThreadPoolExecutor(int(threads))
    token_ids = tokenizer(tokenizer_file, int(max_tokens))

    def way(texts: Sequence[str]) -> Call:
        return partial(run_sorted, token_ids(texts), int(budget), pool, run, np.int32)

    return way
