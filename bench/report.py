"""The measurements of speed.py, and their tables."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from process import Cost

LITERT = "tf_embeddings on LiteRT"
TENSORFLOW = "tf_embeddings on TensorFlow"
RAW = "LiteRT itself, on token ids"
PRODUCTS = "only the model's matrix products"
ONE_THREAD = "tf_embeddings on LiteRT, one thread"
HANDLER = "the Snowflake function, one thread"
ARTICLE = "loading the model for each row"
ONNX = "ONNX Runtime, batches by length"
ONNX_POOL = "ONNX Runtime, in a pool like ours"
SENTENCE_TRANSFORMERS = "Sentence Transformers"
DBT = "dbt run on DuckDB"

CORPORA = ("glosses", "descriptions")
WITH_MEMORY = (LITERT, TENSORFLOW, ONE_THREAD, ONNX, SENTENCE_TRANSFORMERS)
PAIRS = (
    (LITERT, TENSORFLOW),
    (LITERT, ONNX),
    (LITERT, ONNX_POOL),
    (LITERT, SENTENCE_TRANSFORMERS),
    (LITERT, RAW),
    (LITERT, PRODUCTS),
    (LITERT, ARTICLE),
    (HANDLER, ONE_THREAD),
)

Lists = defaultdict[str, list[float]]


@dataclass
class Measured:
    """What was measured, by way.

    Attributes:
        rounds: the number of rounds.
        texts: the number of texts of each corpus.
        mixed_texts: the number of mixed texts, for dbt and for memory.
        speed: the cost of a text, by corpus and way, for each round.
        mixed: the cost of a mixed text, for each round.
        one_text: the seconds of a call with one text.
        start: the seconds from the start of a process to its first vector.
        memory_after_one: MB after one text.
        memory_after_all: MB after the mixed texts.
        vectors: each way's vectors of the same texts.
        has_tensorflow: whether TensorFlow was imported.
    """

    rounds: int
    texts: int
    mixed_texts: int
    speed: defaultdict[tuple[str, str], list[Cost]] = field(
        default_factory=lambda: defaultdict(list)
    )
    mixed: defaultdict[str, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    one_text: Lists = field(default_factory=lambda: defaultdict(list))
    start: Lists = field(default_factory=lambda: defaultdict(list))
    memory_after_one: Lists = field(default_factory=lambda: defaultdict(list))
    memory_after_all: dict[str, float] = field(default_factory=dict)
    vectors: dict[str, list[list[float]]] = field(default_factory=dict)
    has_tensorflow: dict[str, bool] = field(default_factory=dict)


def show_speed(measured: Measured) -> None:
    """Print the ratios of the ways' speeds, and how far their vectors differ."""
    print(
        f"{os.cpu_count()} cores; medians of {measured.rounds} rounds over {measured.texts} texts "
        f"of each corpus; the ways take turns.\n"
    )
    print_table(
        ["times as fast", *CORPORA, *(f"{corpus}, by CPU time" for corpus in CORPORA)],
        [_ratios(measured, *pair) for pair in PAIRS if ("glosses", pair[1]) in measured.speed],
    )
    most = apart(measured.vectors, LITERT)
    print(f"No component of a vector differs by more than {most:.1e} from {LITERT}.\n", flush=True)


def show_all(measured: Measured) -> None:
    """Print the table of the ways, and the speed of dbt."""
    print_table(
        [
            *("", *CORPORA, "one text", "start to first vector"),
            *("memory after one text", f"after {measured.mixed_texts:,}"),
        ],
        [_row(measured, way) for way in measured.start],
    )
    dbt, runtime = measured.mixed[DBT], measured.mixed[LITERT]
    print(
        f"{DBT}: {speed(dbt)} of {measured.mixed_texts:,} mixed texts, "
        f"{ratio(runtime, dbt):.2f} x the runtime's {speed(runtime)} "
        f"({ratio(runtime, dbt, 'cpu'):.2f} x by CPU time)."
    )
    without = [way for way, has in measured.has_tensorflow.items() if not has]
    print(f"No tensorflow in sys.modules: {', '.join(without)}.")


def _row(measured: Measured, way: str) -> list[str]:
    one_text, after_all = measured.one_text[way], measured.memory_after_all.get(way)
    return [
        way,
        *(speed(measured.speed[corpus, way]) for corpus in CORPORA),
        f"{statistics.median(one_text) * 1000:.1f} ms" if one_text else "",
        f"{statistics.median(measured.start[way]):.1f} s",
        f"{statistics.median(measured.memory_after_one[way]):.0f} MB",
        f"{after_all:.0f} MB" if after_all else "",
    ]


def _ratios(measured: Measured, way: str, other: str) -> list[str]:
    pairs = [(measured.speed[corpus, other], measured.speed[corpus, way]) for corpus in CORPORA]
    ratios = [ratio(*pair, kind) for kind in ("seconds", "cpu") for pair in pairs]
    return [f"{way} / {other}", *(f"{ratio:.2f}" for ratio in ratios)]


def ratio(costs: Sequence[Cost], others: Sequence[Cost], kind: str = "seconds") -> float:
    """Return how many times as much the costs are as the others."""
    return _median(costs, kind) / _median(others, kind)


def speed(costs: Sequence[Cost]) -> str:
    """Return the texts a second, as the tables show it."""
    number = 1 / _median(costs)
    return f"{number:,.0f} texts/s" if number >= 10 else f"{number:.2g} texts/s"


def _median(costs: Sequence[Cost], kind: str = "seconds") -> float:
    return statistics.median(getattr(cost, kind) for cost in costs)


def apart(vectors: Mapping[str, Sequence[Sequence[float]]], first: str) -> float:
    """Return the most that a component of any way's vectors differs from the first's."""
    return max(
        float(np.abs(np.array(one) - vectors[first][: len(one)]).max()) for one in vectors.values()
    )


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table of Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    print()
