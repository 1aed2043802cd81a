"""How fast the runtime embeds, compared with the machine's limit, its peers and a naive UDF.

    python bench/speed.py                          # minutes; the tables of the README
    python bench/speed.py --peers .venv/peers      # with Sentence Transformers and ONNX Runtime

Machines differ, and a busy one is not steady: so the ways take turns, round by round. Quote ratios
of medians. Each way runs in its own process (worker.py). For `dbt run` we count how much longer
10,000 texts take than one, which leaves out the start of dbt and of the model. The naive UDF
(ways/article.py) is measured on a few rows, because each takes seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import report
from process import Cost, Process, Way
from projects import TESTS, UDF_SRC, Staged, stage, weights
from report import Measured
from texts import corpora, mixed

MAX_TOKENS = "256"
# Padded tokens of a batch: the fastest on both corpora, of 256 to 4,096.
RAW_BUDGET, ONNX_BUDGET = "512", "512"

SINGLES = 20
ARTICLE_ROWS = 3
COMPARED = 200
STARTS = 3
DBT_ROUNDS = 3


def main() -> None:
    """Measure, and print the tables."""
    arguments = _arguments()
    texts = mixed(arguments.mixed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        litert, tensorflow = (stage(folder, engine, texts) for engine in ("litert", "tensorflow"))
        ways = [*_own_ways(litert, tensorflow), *_peers(arguments.peers, litert, folder)]
        measured = Measured(arguments.rounds, arguments.texts, len(texts))
        _measure_speed(ways, corpora(arguments.texts), measured)
        report.show_speed(measured)
        _measure_starts(ways, texts, measured)
        _measure_dbt(ways[0], litert, texts, measured)
    report.show_all(measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--texts", type=int, default=300, help="texts of each corpus (300)")
    parser.add_argument("--rounds", type=int, default=7, help="the number of rounds (7)")
    parser.add_argument("--mixed", type=int, default=10_000, help="texts for dbt (10,000)")
    parser.add_argument("--peers", type=Path, help="the folder of the peers' environment")
    return parser.parse_args()


def _own_ways(litert: Staged, tensorflow: Staged) -> list[Way]:
    def way(name: str, module: str, *arguments: object) -> Way:
        return Way(name, module, tuple(map(str, arguments)), sys.executable)

    raw = (litert.model / "model.tflite", litert.tokenizer, MAX_TOKENS, RAW_BUDGET)
    return [
        way(report.LITERT, "runtime", UDF_SRC, litert.unpacked, 0),
        way(report.TENSORFLOW, "runtime", UDF_SRC, tensorflow.unpacked, 0),
        way(report.RAW, "raw_litert", *raw, os.cpu_count()),
        way(report.PRODUCTS, "matrix_products", *raw[1:], os.cpu_count()),
        way(report.ONE_THREAD, "runtime", UDF_SRC, litert.unpacked, 1),
        way(report.HANDLER, "handler", TESTS, litert.artifact, litert.version),
        way(report.ARTICLE, "article", tensorflow.model, tensorflow.tokenizer, MAX_TOKENS),
    ]


def _peers(environment: Path | None, staged: Staged, folder: Path) -> list[Way]:
    """Return the peers with the staged weights; none if their environment does not exist."""
    python = environment and environment.absolute() / "bin" / "python"
    if python is None or not python.exists():
        print("The peers are not installed. Run `make bench-peers` to install and measure them.\n")
        return []
    source, exported = str(weights()), str(folder / "model.onnx")
    export = Path(__file__).with_name("export_onnx.py")
    subprocess.run([python, export, source, exported], check=True, stderr=subprocess.DEVNULL)
    onnx = (exported, staged.tokenizer, MAX_TOKENS, ONNX_BUDGET)
    cores = str(os.cpu_count())
    return [
        Way(report.ONNX, "onnx_runtime", (*onnx, "1", cores), str(python)),
        Way(report.ONNX_POOL, "onnx_runtime", (*onnx, cores, "1"), str(python)),
        Way(report.SENTENCE_TRANSFORMERS, "sentence_transformers", (source,), str(python)),
    ]


def _measure_speed(
    ways: Sequence[Way], texts: Mapping[str, Sequence[str]], measured: Measured
) -> None:
    """Measure each corpus, and single texts; the ways take turns."""
    with ExitStack() as stack:
        processes = [stack.enter_context(Process(way)) for way in ways]
        for process in processes:
            vectors = process.vectors(_some(process, texts["glosses"]))
            if process.way.name != report.PRODUCTS:
                measured.vectors[process.way.name] = vectors
        for number in range(measured.rounds):
            _say(f"Speed: round {number + 1} of {measured.rounds} ...")
            for corpus in texts:
                for process in processes:
                    some = _some(process, texts[corpus])
                    cost = process.embed(some)
                    measured.speed[corpus, process.way.name].append(cost.per(len(some)))
            for process in processes:
                if process.way.name != report.ARTICLE:
                    measured.one_text[process.way.name] += process.embed_each(
                        texts["glosses"][:SINGLES]
                    )


def _some(process: Process, texts: Sequence[str]) -> Sequence[str]:
    return texts[:ARTICLE_ROWS] if process.way.name == report.ARTICLE else texts


def _measure_starts(ways: Sequence[Way], texts: Sequence[str], measured: Measured) -> None:
    """Measure a process's time to its first vector, and its memory; the ways take turns."""
    for number in range(STARTS):
        _say(f"Start and memory: round {number + 1} of {STARTS} ...")
        for way in ways:
            with Process(way) as process:
                process.embed(["the first text"])
                measured.start[way.name].append(process.age())
                measured.memory_after_one[way.name].append(process.memory())
                if number == 0 and way.name in report.WITH_MEMORY:
                    process.embed(texts)
                    measured.memory_after_all[way.name] = process.memory()
                    measured.has_tensorflow[way.name] = process.has_tensorflow


def _measure_dbt(way: Way, staged: Staged, texts: Sequence[str], measured: Measured) -> None:
    """Measure `dbt run` and the runtime on the same texts; they take turns."""
    with Process(way) as process:
        process.embed(texts[:COMPARED])
        for number in range(DBT_ROUNDS):
            _say(f"dbt run: round {number + 1} of {DBT_ROUNDS} ...")
            measured.mixed[way.name].append(process.embed(texts).per(len(texts)))
            one, all_ = staged.run("one"), staged.run("all")
            beyond = Cost(all_.seconds - one.seconds, all_.cpu - one.cpu)
            measured.mixed[report.DBT].append(beyond.per(len(texts) - 1))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
