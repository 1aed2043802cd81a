"""How fast the runtime embeds, side by side with the obvious way and with Sentence Transformers.

    python bench/runtime.py                          # the model that `make demo` staged
    python bench/runtime.py minilm-b….zip            # any artefact, or its unpacked folder

Machines differ, and a busy one differs from itself: so every round runs each way in turn, and the
ratios of medians are what to quote. The naive way is the same encoder in batches of 256 texts in
arrival order, each padded to its longest. Sentence Transformers is measured if it is installed,
with its default batches of 32 by length, on the CPU.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "udf_src"))

from tf_embeddings_udf import Embedder, load, read_manifest, unpack  # noqa: E402

GLOSSES = ROOT / "demo" / "seeds" / "glosses.csv"
STAGE = ROOT / "demo" / "tf_embeddings_stage"
NAIVE_BATCH = 256

WORKER = """
import json, sys
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
model.encode(["warm"])
print("ready", flush=True)
for line in sys.stdin:
    model.encode(json.loads(line), show_progress_bar=False)
    print("done", flush=True)
"""

Way = Callable[[Sequence[str]], object]


def main() -> None:
    """Measure, and print a table for each corpus."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = _unpacked(arguments.artefact, Path(temporary))
        started = time.perf_counter()
        embedder = load(folder, arguments.threads)
        embedder.embed(["warm"])
        print(f"loaded in {time.perf_counter() - started:.1f} s, {os.cpu_count()} cores")
        ways: dict[str, Way] = {
            "runtime": embedder.embed,
            f"naive, batches of {NAIVE_BATCH}": lambda texts: _naive(embedder, texts),
        }
        if arguments.oracle and (oracle := _sentence_transformers(arguments.oracle)):
            ways["sentence-transformers"] = oracle
        for name, texts in corpora(arguments.texts).items():
            _print_table(name, texts, _measure(ways, texts, arguments.rounds))
        print(f"\none text alone: {_latency(embedder) * 1000:.1f} ms (median of 30)")


def corpora(count: int) -> Mapping[str, list[str]]:
    """Return short glosses, and an eighth as many texts of mixed lengths made of them."""
    with GLOSSES.open(encoding="utf-8", newline="") as file:
        glosses = [row["gloss"] for row in csv.DictReader(file)]
    chance = random.Random(7)
    short = chance.sample(glosses, min(count, len(glosses)))
    mixed = [
        " ".join(chance.choices(glosses, k=chance.choice([1, 1, 1, 1, 2, 4, 8, 30])))
        for _ in range(max(count // 4, NAIVE_BATCH))
    ]
    return {"short glosses": short, "mixed lengths": mixed}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("artefact", type=Path, nargs="?", help="staged or unpacked")
    parser.add_argument("--texts", type=int, default=2000, help="how many glosses (2000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way runs (3)")
    parser.add_argument("--threads", type=int, default=0, help="TensorFlow's threads (all cores)")
    parser.add_argument(
        "--oracle",
        default="sentence-transformers/all-MiniLM-L6-v2",
        help="model or folder for Sentence Transformers, '' for none",
    )
    arguments = parser.parse_args()
    arguments.artefact = arguments.artefact or _staged_by_the_demo()
    return arguments


def _staged_by_the_demo() -> Path:
    staged = sorted(STAGE.glob("minilm/*/minilm-*.zip"), key=lambda path: path.stat().st_mtime)
    if not staged:
        sys.exit(f"No minilm is staged in {STAGE}. Run `make demo`, or give an artefact.")
    return staged[-1]


def _unpacked(artefact: Path, cache: Path) -> Path:
    if artefact.is_dir():
        return artefact
    manifest = read_manifest(artefact)
    return unpack(artefact, cache, model=manifest.model, build=artefact.stem.rpartition("-")[2])


def _naive(embedder: Embedder, texts: Sequence[str]) -> None:
    """Embed in arrival order, as a first version of a UDF would."""
    encoder = embedder._planner._encoder
    for start in range(0, len(texts), NAIVE_BATCH):
        prepared = encoder.prepare(texts[start : start + NAIVE_BATCH])
        encoder.run([one.payload for one in prepared])


def _sentence_transformers(model: str) -> Way | None:
    """Return its `encode`, if it and the model are on this machine.

    In a process of its own: PyTorch and TensorFlow cannot always share one.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, model],
        env={"HF_HUB_OFFLINE": "1", **os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if worker.stdout is None or worker.stdin is None or not worker.stdout.readline():
        print(f"sentence-transformers is not measured: it has no '{model}' on this machine")
        return None
    answers, questions = worker.stdout, worker.stdin

    def encode(texts: Sequence[str]) -> None:
        print(json.dumps(texts), file=questions, flush=True)
        answers.readline()

    return encode


def _measure(ways: Mapping[str, Way], texts: list[str], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each way took, round by round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way(texts)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _latency(embedder: Embedder) -> float:
    seconds = []
    for number in range(30):
        started = time.perf_counter()
        embedder.embed([f"search number {number}"])
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _print_table(name: str, texts: list[str], seconds: Mapping[str, list[float]]) -> None:
    characters = statistics.mean(map(len, texts))
    print(f"\n{len(texts)} texts, {name}, {characters:.0f} characters on average")
    first = statistics.median(next(iter(seconds.values())))
    for way, measured in seconds.items():
        median = statistics.median(measured)
        low, high = (len(texts) / bound for bound in (max(measured), min(measured)))
        print(
            f"  {way:<24} {len(texts) / median:6.0f} texts/s ({low:.0f} to {high:.0f})"
            f"   runtime is {median / first:4.1f} x"
        )


if __name__ == "__main__":
    main()
