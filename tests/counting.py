"""Counts what reaches the functions of the DuckDB plugin, around the real ones.

with counted() as reached:
project.dbt("run")
assert reached.take() == {"fox": 1}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
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

    def note(self, texts: list[str | None]) -> None:
        """Note the texts of a call, and fail if told to."""
        self.texts += texts
        if self.fails:
            raise RuntimeError("the function was told to fail")

    def take(self) -> Counter[str | None]:
        """Return how often each text came, and forget them."""
        taken = Counter(self.texts)
        self.texts.clear()
        return taken


@contextmanager
def watched(note: Callable[[list[str | None]], None]) -> Iterator[None]:
    """Call `note` before each call of the functions that are registered from here on."""
    make = tf_embeddings_duckdb._embed_function

    def watching(stage: tf_embeddings_duckdb.Stage, path: Path) -> Any:  # noqa: ANN401
        embed = make(stage, path)

        def note_and_embed(texts: Any, tokens_only: Any) -> Any:  # noqa: ANN401 - as the plugin's
            note(texts.to_pylist())
            return embed(texts, tokens_only)

        return note_and_embed

    tf_embeddings_duckdb._embed_function = watching
    try:
        yield
    finally:
        tf_embeddings_duckdb._embed_function = make


@contextmanager
def counted() -> Iterator[Reached]:
    """Count in the functions that are registered from here on."""
    reached = Reached()
    with watched(reached.note):
        yield reached
