"""Counts what reaches the functions of the DuckDB plugin, around the real ones.

with counted() as reached:
project.dbt("run")
assert reached.take() == {"fox": 1}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tf_embeddings_duckdb


@dataclass
class Reached:
    """The texts that reached the functions.

    Attributes:
        texts: one for each row, in no order; None for a NULL.
        fails: whether the functions are to fail.
    """

    texts: list[str | None] = field(default_factory=list)
    fails: bool = False

    def take(self) -> Counter[str | None]:
        """Return how often each text came, and forget them."""
        taken = Counter(self.texts)
        self.texts.clear()
        return taken


@contextmanager
def counted() -> Iterator[Reached]:
    """Count in the functions that are registered from here on."""
    reached = Reached()
    make = tf_embeddings_duckdb._embed_function

    def counting(stage: tf_embeddings_duckdb.Stage, path: Path) -> Any:  # noqa: ANN401
        embed = make(stage, path)

        def embed_and_count(texts: Any, tokens_only: Any) -> Any:  # noqa: ANN401 - as the plugin's
            reached.texts.extend(texts.to_pylist())
            if reached.fails:
                raise RuntimeError("the function was told to fail")
            return embed(texts, tokens_only)

        return embed_and_count

    tf_embeddings_duckdb._embed_function = counting
    try:
        yield reached
    finally:
        tf_embeddings_duckdb._embed_function = make
