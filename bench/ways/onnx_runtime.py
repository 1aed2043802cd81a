"""ONNX Runtime on the same weights, with batches by length; the time includes tokenizing."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ways.sorted_batches import run_sorted, tokenizer

if TYPE_CHECKING:
    from worker import Call, Way


def start(
    model: str, tokenizer_file: str, max_tokens: str, budget: str, callers: str, threads: str
) -> Way:
    """Load an exported model: one session with `threads` threads, shared by `callers` callers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(int(callers))
    token_ids = tokenizer(tokenizer_file, int(max_tokens))

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        [vectors] = session.run(None, {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors)

    def way(texts: Sequence[str]) -> Call:
        def call() -> np.ndarray:
            return run_sorted(token_ids(texts), int(budget), pool, run, np.int64)

        return call

    return way
