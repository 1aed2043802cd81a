"""Start a process of worker.py, send it texts, and measure its time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

WORKER = Path(__file__).with_name("worker.py")
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Way:
    """A way to embed.

    Attributes:
        name: its name in the table.
        module: its module in the folder `ways`.
        arguments: the arguments of that module's function `start`.
        python: the Python of its environment.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    python: str


@dataclass(frozen=True)
class Cost:
    """What a call cost: wall time, and CPU time, which a busy machine disturbs less."""

    seconds: float
    cpu: float

    def per(self, count: int) -> Cost:
        """Return the cost of one text out of `count`."""
        return Cost(self.seconds / count, self.cpu / count)


class Process:
    """A running worker."""

    def __init__(self, way: Way) -> None:
        """Start it; it loads the model in the background."""
        self.way = way
        self._started = time.perf_counter()
        self.has_tensorflow = False
        self._process = subprocess.Popen(
            [way.python, str(WORKER), way.module, *way.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **ENVIRONMENT},
            text=True,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.close()

    def close(self) -> None:
        """Stop it and the processes that it started."""
        for one in self._family()[::-1]:
            one.kill()
        self._process.communicate()

    def age(self) -> float:
        """Return the seconds since its start."""
        return time.perf_counter() - self._started

    def embed(self, texts: Sequence[str]) -> Cost:
        """Embed texts in one call."""
        before = self._cpu()
        seconds = self._ask("embed", texts)
        return Cost(seconds, self._cpu() - before)

    def embed_each(self, texts: Sequence[str]) -> list[float]:
        """Embed each text in its own call; return the seconds of each."""
        return self._ask("embed_each", texts)

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the texts' vectors, scaled to length 1."""
        return self._ask("vectors", texts)

    def memory(self) -> float:
        """Return its memory in MB, with that of the processes that it started."""
        return sum(one.memory_info().rss for one in self._family()) / 1e6

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]

    def _cpu(self) -> float:
        times = [one.cpu_times() for one in self._family()]
        return sum(each.user + each.system for each in times)

    def _ask(self, question: str, texts: Sequence[str]) -> Any:  # noqa: ANN401 - by question
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({question: texts}), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            said = self._process.communicate()[1]
            raise SystemExit(f"{self.way.name} ended: {said.strip()[-2000:]}") from None
        self.has_tensorflow = answer["has_tensorflow"]
        return answer[question]
