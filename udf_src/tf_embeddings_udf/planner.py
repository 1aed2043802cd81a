"""From a column of texts to vectors: what every kind of encoder needs around it.

Blanks are dropped, equal texts are embedded once, texts are sorted by length and cut into small
batches by a budget of padded tokens, rows that fail are isolated, and the results are put back into
the order of the texts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.engines import in_a_line
from tf_embeddings_udf.errors import TfEmbeddingsError, cancellation

if TYPE_CHECKING:
    from tf_embeddings_udf.encoders import Encoder, Prepared
    from tf_embeddings_udf.manifest import Manifest

OK, NULL, BLANK, ERROR = "ok", "null", "blank", "error"

_FEWEST_IN_PARALLEL = 64

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcomes:
    """What became of each text, in the order of the texts.

    Attributes:
        embeddings: float32 [n, dimensions], contiguous; zeros where `valid` is False.
        valid: bool [n]: there is an embedding. True exactly where the status is `ok` and the text
            was embedded, not just counted.
        token_counts: int32 [n]: tokens before truncation, those of the prefix and special ones
            included; 0 for a blank.
        is_truncated: bool [n].
        counted: bool [n]: token_counts and is_truncated mean something; elsewhere they are NULL.
        statuses: str [n]: `ok`, `null`, `blank` or `error`.
    """

    embeddings: np.ndarray
    valid: np.ndarray
    token_counts: np.ndarray
    is_truncated: np.ndarray
    counted: np.ndarray
    statuses: np.ndarray

    def take(self, rows: np.ndarray) -> Outcomes:
        """Return the outcomes of these rows, in this order."""
        return Outcomes(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def followed_by(self, others: Outcomes) -> Outcomes:
        """Return these outcomes, and then the others."""
        return Outcomes(
            **{
                field.name: np.concatenate([getattr(self, field.name), getattr(others, field.name)])
                for field in fields(self)
            }
        )


@dataclass(frozen=True)
class _Plan:
    """What is known of a column before the model has run.

    Attributes:
        outcomes: one row for each distinct text, and a last one for NULL.
        rows: of the outcomes, for each text of the column.
        todo: by row of the outcomes, the texts that have tokens.
    """

    outcomes: Outcomes
    rows: np.ndarray
    todo: dict[int, Prepared]


class Planner:
    """Embeds columns of texts with one encoder; keeps nothing between them."""

    def __init__(self, encoder: Encoder, manifest: Manifest) -> None:
        """Plan for this encoder; the manifest gives the dimensions and whether to normalize."""
        self.encoder = encoder
        self._manifest = manifest
        self._kind = KINDS[manifest.kind]
        self._sound: set[Callable[..., Any]] = set()

    def embed(
        self, texts: Sequence[str | None], canceled: threading.Event | None = None
    ) -> Outcomes:
        """Embed texts.

        Args:
            texts: what to embed.
            canceled: the event that ends the call; None: that of calls that start now.

        Raises:
            TfEmbeddingsError: the model fails on any text, or gives what its manifest excludes; or
                the call was canceled.
        """
        canceled = canceled or cancellation.current()
        plan = self._plan(texts)
        outcomes = plan.outcomes
        vectors = self._run(list(plan.todo.values()), canceled)
        is_good = ~np.isnan(vectors[:, 0])
        with_tokens = np.array(list(plan.todo), np.intp)
        good = with_tokens[is_good]
        outcomes.statuses[with_tokens] = ERROR
        outcomes.statuses[good] = OK
        outcomes.valid[good] = True
        outcomes.embeddings[good] = vectors[is_good]
        return outcomes.take(plan.rows)

    def count(self, texts: Sequence[str | None]) -> Outcomes:
        """Count tokens as `embed` does; the model does not run, and no row has an embedding.

        Raises:
            TfEmbeddingsError: the model fails on any text.
        """
        plan = self._plan(texts)
        plan.outcomes.statuses[list(plan.todo)] = OK
        return plan.outcomes.take(plan.rows)

    def outcomes(
        self,
        texts: Sequence[str | None],
        tokens_only: Sequence[bool] | np.ndarray,
        canceled: threading.Event | None = None,
    ) -> Outcomes:
        """Embed texts; where `tokens_only` is true, only count their tokens.

        Raises:
            TfEmbeddingsError: as `embed` does.
        """
        is_counted = np.array(tokens_only, bool)
        if not is_counted.any():
            return self.embed(texts, canceled)
        embedded: list[int] = np.flatnonzero(~is_counted).tolist()
        counted: list[int] = np.flatnonzero(is_counted).tolist()
        outcomes = self.embed([texts[row] for row in embedded], canceled).followed_by(
            self.count([texts[row] for row in counted])
        )
        return outcomes.take(np.argsort(embedded + counted))

    def _plan(self, texts: Sequence[str | None]) -> _Plan:
        row_of: dict[str, int] = {}
        rows = np.array(
            [-1 if text is None else row_of.setdefault(text, len(row_of)) for text in texts],
            np.intp,
        )
        distinct = list(row_of)
        outcomes = _blanks(len(distinct) + 1, self._manifest.dimensions)
        outcomes.statuses[-1] = NULL
        if self._kind.counts_tokens:
            outcomes.counted[:-1] = True

        with_text = [row for row, text in enumerate(distinct) if text.strip()]
        prepared = self._prepare([distinct[row] for row in with_text])
        todo: dict[int, Prepared] = {}
        for row, one in zip(with_text, prepared, strict=True):
            if one is None:
                outcomes.statuses[row] = ERROR
                outcomes.counted[row] = False
            elif one.cost:
                todo[row] = one
                outcomes.token_counts[row] = one.token_count or 0
                outcomes.is_truncated[row] = bool(one.is_truncated)
        return _Plan(outcomes, rows, todo)

    def _prepare(self, texts: list[str]) -> list[Prepared | None]:
        """Tokenize, behind the prefix; None for a text that cannot be."""
        prepared = self._tokenize(texts)
        if not self._manifest.prefix:
            return prepared
        # A text without tokens of its own is blank, whatever its prefix.
        with_tokens = [row for row, one in enumerate(prepared) if one is not None and one.cost]
        prefixed = [self._manifest.prefix + texts[row] for row in with_tokens]
        for row, one in zip(with_tokens, self._tokenize(prefixed), strict=True):
            prepared[row] = one
        return prepared

    def _tokenize(self, texts: list[str]) -> list[Prepared | None]:
        def prepare(some: list[str]) -> list[Prepared | None]:
            return self._isolating(self.encoder.prepare, some, lambda: self._kind.example)

        # The model waits for the tokenizer: on two cores, 1.3 % of the work is 2.6 % of the time.
        share = -(-len(texts) // self.encoder.engine.workers)
        if share < _FEWEST_IN_PARALLEL:
            return prepare(texts)
        parts = [texts[start : start + share] for start in range(0, len(texts), share)]
        return list(chain.from_iterable(self.encoder.engine.map(prepare, parts)))

    def _run(self, prepared: list[Prepared], canceled: threading.Event) -> np.ndarray:
        """Run the model: a row for each text, NaN where it gave no vector."""
        vectors = np.full((len(prepared), self._manifest.dimensions), np.nan, np.float32)

        def run(batch: list[int]) -> None:
            if canceled.is_set():
                raise TfEmbeddingsError("tf_embeddings: the query was canceled.")
            payloads = [prepared[row].payload for row in batch]
            results = self._isolating(self._vectors, payloads, self._easy_payload)
            for row, vector in zip(batch, results, strict=True):
                if vector is not None:
                    vectors[row] = vector

        # The longest batches first, so that all workers end at about the same time.
        budget = 0 if self._manifest.row_by_row else self.encoder.budget
        todo = list(batches([one.cost for one in prepared], budget))
        self.encoder.engine.map(run, todo[::-1])
        return vectors

    def _easy_payload(self) -> Any:  # noqa: ANN401 - the encoder's own
        return self.encoder.prepare([self._kind.example])[0].payload

    def _vectors(self, payloads: Sequence[Any]) -> list[np.ndarray | None]:
        """Run one batch; None for a row that is not finite, or a vector of zeros: no direction."""
        vectors = self.encoder.run(payloads)
        expected = (len(payloads), self._manifest.model_dimensions)
        if vectors.shape != expected:
            raise TfEmbeddingsError(
                f"tf_embeddings: model '{self._manifest.model}' gave an output of shape "
                f"{list(vectors.shape)} where its manifest says {list(expected)}. "
                f"Stage the model again."
            )
        vectors = vectors[:, : self._manifest.dimensions]
        # In float64: the square of a large float32 would be infinite.
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        is_good = np.isfinite(lengths) & ((lengths > 0) | self._kind.gives_scores)
        if self._manifest.normalize:
            lengths[~is_good] = 1
            vectors = (vectors / lengths[:, None]).astype(np.float32)
        return [vector if good else None for vector, good in zip(vectors, is_good, strict=True)]

    def _isolating(
        self,
        call: Callable[[list[Item]], Sequence[Result | None]],
        items: list[Item],
        easy: Callable[[], Item],
    ) -> list[Result | None]:
        """Call with all items, and by halves again with those that have no result.

        A row that fails costs its neighbors time, never their result: only that row gets None.
        `easy` makes the item of an easy text.
        """
        if not items:
            return []
        try:
            results: list[Result | None] = list(call(items))
        except TfEmbeddingsError:
            raise
        except Exception as error:
            self._raise_if_broken(error, call, easy)
            results = [None] * len(items)
        failed = [row for row, result in enumerate(results) if result is None]
        if not failed or len(items) == 1:
            return results
        middle = len(failed) // 2 if len(failed) == len(items) else len(failed)
        for some in (failed[:middle], failed[middle:]):
            again = self._isolating(call, [items[row] for row in some], easy)
            for row, result in zip(some, again, strict=True):
                results[row] = result
        return results

    def _raise_if_broken(
        self, error: Exception, call: Callable[[list[Item]], object], easy: Callable[[], Item]
    ) -> None:
        """Raise if the model is at fault and not the texts: it fails on an easy text too."""
        if call in self._sound:
            return
        try:
            call([easy()])
        except TfEmbeddingsError:
            raise
        except Exception:
            raise TfEmbeddingsError(
                f"tf_embeddings: model '{self._manifest.model}' fails on every text "
                f"({in_a_line(error)}). "
                f"Stage the model again with the packages that are installed here."
            ) from error
        self._sound.add(call)


def batches(costs: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Cut rows into batches of like cost: the longest times the rows stays within the budget.

    A row that exceeds the budget by itself is a batch by itself.
    """
    batch: list[int] = []
    for row in sorted(range(len(costs)), key=costs.__getitem__):
        if batch and costs[row] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _blanks(count: int, dimensions: int) -> Outcomes:
    return Outcomes(
        embeddings=np.zeros((count, dimensions), np.float32),
        valid=np.zeros(count, bool),
        token_counts=np.zeros(count, np.int32),
        is_truncated=np.zeros(count, bool),
        counted=np.zeros(count, bool),
        statuses=np.full(count, BLANK, "<U5"),
    )
