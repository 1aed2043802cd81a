"""What a caller of a bare library must do: sort by length, cut, run in threads, reorder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

Ids = Sequence[int]
Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


def tokenizer(path: str, max_tokens: int) -> Callable[[Sequence[str]], list[Ids]]:
    """Return the function from texts to token ids."""
    from tokenizers import Tokenizer

    one = Tokenizer.from_file(path)
    one.no_padding()
    one.enable_truncation(max_tokens)
    return lambda texts: [encoding.ids for encoding in one.encode_batch(texts)]


def run_sorted(
    rows: Sequence[Ids], budget: int, threads: ThreadPoolExecutor, run: Run, dtype: type
) -> np.ndarray:
    """Run a model on rows of token ids, in batches of `budget` padded tokens, the longest first.

    Returns:
        The vectors, in the order of the rows.
    """
    batches = list(_batches(rows, budget))
    done = threads.map(lambda batch: run(*_padded([rows[row] for row in batch], dtype)), batches)
    vectors = np.concatenate(list(done))
    return vectors[np.argsort(np.concatenate(batches))]


def _batches(rows: Sequence[Ids], budget: int) -> Iterator[list[int]]:
    """Cut rows into batches, the longest first; a row over the budget is a batch of one."""
    batch: list[int] = []
    for row in sorted(range(len(rows)), key=lambda row: -len(rows[row])):
        if batch and len(rows[batch[0]]) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _padded(rows: Sequence[Ids], dtype: Any) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401
    """Return the ids and the mask of a batch, [rows, tokens of the longest]."""
    ids = np.zeros((len(rows), max(map(len, rows))), dtype)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask
