"""One way to embed, in its own process, so that its start and memory can be measured.

    python bench/worker.py WAY ARGUMENT...

A way is a module of the folder `ways`. Its `start(*arguments)` loads the model, and returns a
function from texts to the call that is timed. Questions and answers are lines of JSON:

    {"embed": texts}        the seconds of one call with all texts
    {"embed_each": texts}   the seconds of each call with one text
    {"vectors": texts}      the texts' vectors, scaled to length 1

It also runs in the peers' environment, so it imports only the standard library and NumPy.
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
    """Load the model of a way, and answer questions until the input ends."""
    name, *arguments = sys.argv[1:]
    answers = _own_output()
    way: Way = importlib.import_module(f"ways.{name}").start(*arguments)
    for line in sys.stdin:
        [(question, texts)] = json.loads(line).items()
        answer: dict[str, Any] = {question: _ANSWERS[question](way, texts)}
        answer["has_tensorflow"] = "tensorflow" in sys.modules
        print(json.dumps(answer), file=answers, flush=True)


def _own_output() -> Any:  # noqa: ANN401 - a text file
    """Reserve standard output for answers; libraries print to standard error."""
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
