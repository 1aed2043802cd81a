"""Checking a model against published numbers."""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

from tf_embeddings_udf.encoders.pairs import as_text

from tf_embeddings_staging.catalogue import Entry, Known, KnownOrdering, KnownTokens, KnownVector
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report

Vectors = Mapping[str, Sequence[float]]

_WRONG = "The weights, the conversion or the options are not those of the published model."

# With these a model's vectors may differ in length from its catalogue entry.
_OF_LENGTH = {"--truncate-dim", "--output", "--signature"}


def of_entry(entry: Entry | None, options: Options, report: Report) -> Known | None:
    """Return what is published of a model, if it is staged as it was published.

    Args:
        entry: the model's entry of the catalogue; None: it has none.
        options: what the entry and the user say of the model.
        report: tells the user why nothing is checked.
    """
    if entry is None or entry.known is None:
        return None
    if flags := _changes(entry, options):
        report.say(
            f"Not checked against what is published of {entry.name}: that is of the model without "
            f"{flags[0]}."
        )
        return None
    return entry.known


def check_dimensions(entry: Entry | None, options: Options, dimensions: int) -> None:
    """Require the length of a model's vectors that the catalogue says.

    Raises:
        StagingError: it differs, and no option says so.
    """
    if entry is None or dimensions == entry.dimensions:
        return
    if not _OF_LENGTH & {*_changes(entry, options)}:
        raise StagingError(
            f"the vectors of {entry.name} have {dimensions} numbers, and its entry in the "
            f"catalogue says dimensions: {entry.dimensions}. The entry is wrong, or its source "
            f"gives another model."
        )


def _changes(entry: Entry, options: Options) -> list[str]:
    """Return the flags that change the vectors; kind, allowed ops and engine do not."""
    return replace(options.unlike(entry.options), kind=None, allow_ops=(), engine=None).flags()


def texts(known: Known | None) -> list[str]:
    """Return the texts whose vectors `check` needs, each once."""
    if known is None:
        return []
    found = {text for a, b, _ in known.cosines for text in (a, b)}
    found |= {as_text(query, text) for query, text, _ in known.scores}
    found |= {one.text for one in known.vectors}
    if known.ordering:
        found |= {text for group in known.ordering.groups for text in group}
    return sorted(found)


def check(
    known: Known | None,
    vectors: Vectors,
    token_ids: Callable[[str], list[int] | None] | None = None,
) -> None:
    """Require what is published of a model.

    Args:
        known: what is published; None: nothing.
        vectors: the model's vectors of all `texts(known)`.
        token_ids: gives the token ids of a text, None where the kind of encoder does not compare
            them; None: it has no tokenizer.

    Raises:
        StagingError: naming the text, what came, what is published and where.
    """
    if known is None:
        return
    if token_ids is not None:
        for one in known.token_ids:
            _check_token_ids(one, token_ids(one.text))
    for one in known.vectors:
        _check_vector(one, vectors[one.text])
    for a, b, expected in known.cosines:
        came = cosine(vectors[a], vectors[b])
        if abs(came - expected) > (known.tolerance or 0):
            raise StagingError(
                f"the cosine of {quoted(a)} and {quoted(b)} comes out as {came:.4f}, and is "
                f"published as {expected:.4f} ({known.source}; tolerance {known.tolerance:g}). "
                f"{_WRONG}"
            )
    for query, text, expected in known.scores:
        came = vectors[as_text(query, text)][0]
        if not abs(came - expected) <= (known.tolerance or 0):
            raise StagingError(
                f"the score of {quoted(query)} with {quoted(text)} comes out as {came:.6f}, and is "
                f"published as {expected:.6f} ({known.source}; tolerance {known.tolerance:g}). "
                f"{_WRONG}"
            )
    if known.ordering:
        _check_ordering(known.ordering, vectors)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the cosine of two vectors, neither all zeros."""
    return sum(map(operator.mul, a, b)) / (math.hypot(*a) * math.hypot(*b))


def quoted(text: str) -> str:
    """Return a text as a message shows it."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _check_token_ids(known: KnownTokens, came: list[int] | None) -> None:
    if came is not None and came != list(known.ids):
        raise StagingError(
            f"the token ids of {quoted(known.text)} come out as {came}, and are published as "
            f"{list(known.ids)} ({known.source}). {_WRONG}"
        )


def _check_vector(known: KnownVector, vector: Sequence[float]) -> None:
    came = vector[: len(known.first)]
    # Not all within, rather than any beyond: NaN is neither.
    is_near = len(came) == len(known.first) and all(
        abs(a - b) <= known.tolerance for a, b in zip(came, known.first, strict=True)
    )
    if not is_near:
        raise StagingError(
            f"the vector of {quoted(known.text)} starts with {_listed(came)}, and is published as "
            f"{_listed(known.first)} ({known.source}; tolerance {known.tolerance:g}). {_WRONG}"
        )


def _check_ordering(known: KnownOrdering, vectors: Vectors) -> None:
    def mean_of(pairs: Iterable[tuple[str, str]]) -> float:
        return statistics.fmean(cosine(vectors[a], vectors[b]) for a, b in pairs)

    inside = mean_of(pair for group in known.groups for pair in combinations(group, 2))
    between = mean_of(
        pair for one, other in combinations(known.groups, 2) for pair in product(one, other)
    )
    if not inside > between:
        raise StagingError(
            f"the mean cosine of texts that mean something alike, such as "
            f"{quoted(known.groups[0][0])} and {quoted(known.groups[0][1])}, comes out as "
            f"{inside:.4f}, not above the {between:.4f} of those that do not ({known.source}). "
            f"{_WRONG}"
        )
    if known.closest is None:
        return
    every = [text for group in known.groups for text in group]
    closest = max(combinations(every, 2), key=lambda pair: cosine(*(vectors[one] for one in pair)))
    if set(closest) != set(known.closest):
        raise StagingError(
            f"the closest pair comes out as {_pair(closest)}, and is published as "
            f"{_pair(known.closest)} ({known.source}). {_WRONG}"
        )


def _pair(texts: Sequence[str]) -> str:
    return " and ".join(map(quoted, texts))


def _listed(numbers: Sequence[float]) -> str:
    return f"[{', '.join(f'{number:.8g}' for number in numbers)}, ...]"
