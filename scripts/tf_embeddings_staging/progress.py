"""What the user sees while it runs: bars on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


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
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _DrawnBar(progress, label)
        self.say(f"{label}: done")

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show that something takes a while, of unknown length."""
        if not self._console.is_terminal:
            self.say(f"{label} ...")
            yield
            return
        with self._console.status(label):
            yield
        self.say(f"{label}: done")
