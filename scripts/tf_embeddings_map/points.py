"""What is drawn: places in whole numbers, and categories with colors and names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from tf_embeddings_staging.errors import StagingError

from tf_embeddings_map.reading import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A place is a pair of whole numbers from 0 to SIZE.
SIZE = 10_000
COLORS = 8
# A column with more values than these shows the most frequent of them.
MOST_VALUES = 50

NOTHING = "(none)"
# Controls but tab and line feed, surrogates, and the last two of a plane. XML refuses most of them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class _Others(Enum):
    """What stands for the values that are not shown."""

    OTHERS = "(other)"


_OTHERS = _Others.OTHERS


@dataclass(frozen=True)
class Category:
    """A value of a label column.

    Attributes:
        name: the value.
        count: the rows that have it.
        color: the number of its color, from 0; None for gray.
        place: the upper edge of where its points lie densest; its name is written above.
    """

    name: str
    count: int
    color: int | None
    place: tuple[int, int]


@dataclass(frozen=True)
class Column:
    """A label column.

    Attributes:
        name: of the column.
        categories: those with a color first, then by frequency.
        of: the index of each row's category.
    """

    name: str
    categories: list[Category]
    of: list[int]


@dataclass(frozen=True)
class Points:
    """A map, ready to be written.

    Attributes:
        title: what it shows.
        key: the column of the keys.
        keys: the rows' names.
        texts: what they say.
        places: [rows, 2], from 0 to SIZE; y grows downward.
        columns: one for each label.
    """

    title: str
    key: str
    keys: list[str]
    texts: list[str]
    places: NDArray[np.int64]
    columns: list[Column]


def points(
    rows: Rows, places: NDArray[np.float64], title: str, highlighted: Sequence[str]
) -> Points:
    """Prepare what is drawn.

    Raises:
        StagingError: a highlighted value is not a value of the first label.
    """
    whole = _whole(places)
    columns = [
        _column(name, values, whole, highlighted if index == 0 else ())
        for index, (name, values) in enumerate(zip(rows.columns[2], rows.labels, strict=True))
    ]
    return Points(
        title=clean(title),
        key=clean(rows.columns[0]),
        keys=[clean(key) for key in rows.keys],
        texts=[clean(text or "") for text in rows.texts],
        places=whole,
        columns=columns,
    )


def clean(text: str) -> str:
    """Return a text without characters that break XML or a terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def _whole(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Scale both axes alike, so that distances stay true, and center the map."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = SIZE / max((high - low).max(), np.finfo(float).tiny)
    middle = (places - (low + high) / 2) * scale
    middle[:, 1] *= -1  # y grows downward on a screen
    # A last digit that differs between two machines must not change the map.
    return np.rint(np.round(middle, 3) + SIZE / 2).astype(np.int64)


def _column(
    name: str, values: Sequence[str | None], places: NDArray[np.int64], highlighted: Sequence[str]
) -> Column:
    # NULL is None, and what is grouped is _OTHERS: no value of the column can be one of them.
    found: list[str | _Others | None] = [
        None if value is None else clean(value) for value in values
    ]
    counts = Counter(found)
    by_frequency = sorted(counts, key=lambda value: (-counts[value], _name(value), value is None))
    named = {_name(value): value for value in sorted(counts, key=lambda value: value is not None)}
    unknown = [value for value in highlighted if value not in named]
    if unknown:
        names = ", ".join(map(_name, by_frequency[:MOST_VALUES]))
        raise StagingError(
            f"--highlight {unknown[0]} is not a value of {name} (it has: {names}). Write a value "
            f"as the column has it."
        )
    frequent: list[str | _Others | None] = [value for value in by_frequency if value is not None]
    colored = [named[value] for value in highlighted] or frequent[:COLORS]
    shown = [*colored, *(value for value in by_frequency if value not in colored)]
    if len(shown) > MOST_VALUES:
        kept = set(shown[: MOST_VALUES - 1])
        found = [value if value in kept else _OTHERS for value in found]
        shown = [*shown[: MOST_VALUES - 1], _OTHERS]
        counts = Counter(found)
    index = {value: number for number, value in enumerate(shown)}
    of = [index[value] for value in found]
    members = np.array(of)
    categories = [
        Category(
            _name(value),
            counts[value],
            colored.index(value) if value in colored else None,
            _densest(places[members == number]),
        )
        for number, value in enumerate(shown)
    ]
    return Column(clean(name), categories, of)


def _name(value: str | _Others | None) -> str:
    """Return how a value is shown."""
    return NOTHING if value is None else value.value if isinstance(value, _Others) else value


def _densest(places: NDArray[np.int64]) -> tuple[int, int]:
    """Return the upper edge of the points' core: the half nearest to their median, halved again."""
    for _ in range(2):
        middle = np.median(places, axis=0)
        distances = ((places - middle) ** 2).sum(axis=1)
        places = places[np.argsort(distances, kind="stable")[: max(1, (len(places) + 1) // 2)]]
    return round(float(places[:, 0].mean())), int(places[:, 1].min())
