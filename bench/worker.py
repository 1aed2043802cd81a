"""One way to embed, in a process of its own, so that its start and its memory are its own.

    python bench/worker.py WAY ARGUMENT...

A way is a module of the folder `ways`. Its `start(*arguments)` loads the model, and returns a
function that takes texts and returns the call that is timed. Questions and answers are lines of
JSON:

    {"embed": texts}        the seconds of one call with all of the texts
    {"embed_each": texts}   the seconds of a call for each text
    {"vectors": texts}      the texts' vectors, scaled to length 1

The peers' environment runs it too: it imports the standard library and NumPy.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

Call = Callable[[], "npt.ArrayLike"]
Way = Callable[[Sequence[str]], Call]


def main() -> None:
    """Load the model of a way, and answer until there is nothing more to read."""
    name, *arguments = sys.argv[1:]
    answers = _own_output()
    way: Way = importlib.import_module(f"ways.{name}").start(*arguments)
    for line in sys.stdin:
        [(question, texts)] = json.loads(line).items()
        answer: dict[str, Any] = {question: _ANSWERS[question](way, texts)}
        answer["has_tensorflow"] = "tensorflow" in sys.modules
        print(json.dumps(answer), file=answers, flush=True)


def _own_output() -> Any:  # noqa: ANN401 - a text file
    """Keep standard output to oneself: what a library prints goes to standard error."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return output


def _embed(way: Way, texts: Sequence[str]) -> float:
    call = way(texts)
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _embed_each(way: Way, texts: Sequence[str]) -> list[float]:
    return [_embed(way, [text]) for text in texts]


def _vectors(way: Way, texts: Sequence[str]) -> list[list[float]]:
    import numpy as np

    vectors = np.asarray(way(texts)(), np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()


_ANSWERS: dict[str, Callable[[Way, Sequence[str]], Any]] = {
    "embed": _embed,
    "embed_each": _embed_each,
    "vectors": _vectors,
}


if __name__ == "__main__":
    main()
