"""What the user sees, always on stderr: bars and times on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_NOTICEABLE = 2  # seconds


class Bar:
    """How many bytes of something are done; this one is not drawn."""

    def expect(self, total: int) -> None:
        """Set how many bytes it will be."""

    def advance(self, count: int) -> None:
        """Count bytes that are done."""


class _DrawnBar(Bar):
    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    def expect(self, total: int) -> None:
        self._progress.update(self._task, total=total)

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)


class Report:
    """Tells the user what happens; stdout is left for the pin."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to this console; to stderr if none is given."""
        self._console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, label: str) -> Iterator[Bar]:
        """Show how many bytes are done."""
        if not self._console.is_terminal:
            self.say(f"{label} ...")
            yield Bar()
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        began = time.monotonic()
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _DrawnBar(progress, label)
        self.say(f"{label}: {_done_in(time.monotonic() - began)}")

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show that something takes a while, of unknown length."""
        if not self._console.is_terminal:
            self.say(f"{label} ...")
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        began = time.monotonic()
        with Progress(*columns, console=self._console, transient=True) as progress:
            progress.add_task(label, total=None)
            yield
        self.say(f"{label}: {_done_in(time.monotonic() - began)}")


def _done_in(seconds: float) -> str:
    """Say that a step is done, and how long it took if that was noticeable."""
    return "done" if seconds < _NOTICEABLE else f"done in {seconds:.0f} s"
