"""ONNX Runtime on the same weights, with batches sorted by length; the clock has its tokenizing.

As many Python threads as cores call one session that has one thread: measured 1.2 times as fast
as a session with a thread for each core.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ways.sorted_batches import run_sorted, tokenizer

if TYPE_CHECKING:
    from worker import Call, Way


def start(model: str, tokenizer_file: str, max_tokens: str, budget: str, threads: str) -> Way:
    """Load an exported model; 0 threads are as many as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(int(threads) or os.cpu_count())
    token_ids = tokenizer(tokenizer_file, int(max_tokens))

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        [vectors] = session.run(None, {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors)

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            return run_sorted(token_ids(texts), int(budget), pool, run, np.int64)

        return call

    return way
