"""How fast models of the catalogue embed, and what they take: Transformers and a static one.

    python bench/models.py                         # minutes; the tables of the guides
    python bench/models.py --peers .venv/peers     # with the libraries that the models come from

As in speed.py, the ways take turns, and each runs in its own process. A model gets so many texts
that a call takes a fraction of a second or more. For `dbt run` we count how much longer its rows
take than one row does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from process import Cost, Process, Way
from projects import UDF_SRC, Staged, stage, weights
from report import CORPORA, apart, print_table, ratio, speed
from texts import corpora, mixed, numbered

SINGLES = 20
IN_MEMORY = 600
DBT_ROUNDS = 3


@dataclass(frozen=True)
class Load:
    """How many texts of each corpus a model gets in a round, and how many rows `dbt run` embeds."""

    texts: int
    rows: int


LOADS = {
    "minilm": Load(300, 1_000),
    "wordllama": Load(2_000, 100_000),
    "mpnet": Load(40, 100),
}
FIRST = "minilm"
"""What the others are compared with."""


@dataclass(frozen=True)
class Contestant:
    """A model, and one way to run it."""

    model: str
    way: Way

    def some(self, texts: Sequence[str]) -> Sequence[str]:
        """Return as many of the texts as the model gets."""
        return texts[: LOADS[self.model].texts]


Costs = Mapping[str, list[Cost]]


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", choices=LOADS, default=[*LOADS], help="(all)")
    parser.add_argument("--rounds", type=int, default=7, help="the number of rounds (7)")
    parser.add_argument("--peers", type=Path, help="the folder of the peers' environment")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        staged = {
            model: stage(Path(temporary), "auto", numbered(LOADS[model].rows), model)
            for model in dict.fromkeys([FIRST, *arguments.models])
        }
        own = [Contestant(model, _own(model, one)) for model, one in staged.items()]
        peers = [one for model in staged for one in _peers(arguments.peers, model)]
        _show_speed([*own, *peers], arguments.rounds)
        _show_sizes(own, staged)
        _show_dbt(staged)


def _own(model: str, staged: Staged) -> Way:
    return Way(model, "runtime", (UDF_SRC, str(staged.unpacked), "0"), sys.executable)


def _peers(environment: Path | None, model: str) -> list[Contestant]:
    """Return the peers with a model's weights, but for MiniLM's, which speed.py compares."""
    python = environment and environment.absolute() / "bin" / "python"
    if python is None or not python.exists():
        return []
    folder = str(weights(model))
    ways = {
        "wordllama": [
            ("WordLlama's package, batches of 64", "wordllama", (folder, "64")),
            ("Model2Vec on wordllama", "model2vec", (folder,)),
        ],
        "mpnet": [("Sentence Transformers on mpnet", "sentence_transformers", (folder,))],
    }.get(model, [])
    return [
        Contestant(model, Way(name, module, given, str(python))) for name, module, given in ways
    ]


def _show_speed(contestants: Sequence[Contestant], rounds: int) -> None:
    """Measure each corpus, and single texts; the ways take turns."""
    texts = corpora(max(load.texts for load in LOADS.values()))
    costs: defaultdict[str, defaultdict[str, list[Cost]]]
    costs = defaultdict(lambda: defaultdict(list))
    singles: defaultdict[str, list[float]] = defaultdict(list)
    vectors: defaultdict[str, dict[str, list[list[float]]]] = defaultdict(dict)
    with ExitStack() as stack:
        processes = [(one, stack.enter_context(Process(one.way))) for one in contestants]
        for one, process in processes:
            vectors[one.model][one.way.name] = process.vectors(one.some(texts["glosses"]))
        for number in range(rounds):
            _say(f"Speed: round {number + 1} of {rounds} ...")
            for corpus in CORPORA:
                for one, process in processes:
                    some = one.some(texts[corpus])
                    costs[corpus][one.way.name].append(process.embed(some).per(len(some)))
            for one, process in processes:
                singles[one.way.name] += process.embed_each(texts["glosses"][:SINGLES])
    print_table(
        ["", *CORPORA, "one text", *(f"{corpus}, times {FIRST}" for corpus in CORPORA)],
        [
            [
                one.way.name,
                *(speed(costs[corpus][one.way.name]) for corpus in CORPORA),
                f"{statistics.median(singles[one.way.name]) * 1000:.2g} ms",
                *(_times(costs[corpus], one.way.name) for corpus in CORPORA),
            ]
            for one in contestants
        ],
    )
    for model, ways in vectors.items():
        if len(ways) > 1:
            print(f"{model}: no component differs by more than {apart(ways, model):.1e}.")


def _times(costs: Costs, name: str) -> str:
    """Return how many times as fast as the first model this is, by wall and by CPU time."""
    wall, cpu = (ratio(costs[FIRST], costs[name], kind) for kind in ("seconds", "cpu"))
    return f"{wall:.3g} (by CPU time {cpu:.3g})"


def _show_sizes(own: Sequence[Contestant], staged: Mapping[str, Staged]) -> None:
    rows: list[list[str]] = []
    for one in own:
        _say(f"Memory of {one.model} ...")
        with Process(one.way) as process:
            process.embed(["the first text"])
            after_one = process.memory()
            process.embed(mixed(IN_MEMORY))
            memory = [f"{size:.0f} MB" for size in (after_one, process.memory())]
        rows.append(
            [one.model, *memory, f"{staged[one.model].artifact.stat().st_size / 1e6:.0f} MB"]
        )
    print()
    print_table(["", "memory after one text", f"after {IN_MEMORY} mixed", "artifact"], rows)


def _show_dbt(staged: Mapping[str, Staged]) -> None:
    """Measure `dbt run`; the models take turns."""
    costs: defaultdict[str, list[Cost]] = defaultdict(list)
    for number in range(DBT_ROUNDS):
        for model, project in staged.items():
            _say(f"dbt run, {model}: round {number + 1} of {DBT_ROUNDS} ...")
            one, all_ = project.run("one"), project.run("all")
            beyond = Cost(all_.seconds - one.seconds, all_.cpu - one.cpu)
            costs[model].append(beyond.per(LOADS[model].rows - 1))
    print_table(
        ["dbt run on DuckDB", "rows", "speed", f"times {FIRST}"],
        [
            [model, f"{LOADS[model].rows:,}", speed(some), _times(costs, model)]
            for model, some in costs.items()
        ],
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
