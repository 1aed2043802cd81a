"""Progress for the user, on stderr: bars on a terminal, plain lines elsewhere."""

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
    """Counts bytes; this one is not drawn."""

    def expect(self, total: int) -> None:
        """Set the total number of bytes."""

    def advance(self, count: int) -> None:
        """Add bytes that are done."""


class _DrawnBar(Bar):
    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    def expect(self, total: int) -> None:
        self._progress.update(self._task, total=total)

    def advance(self, count: int) -> None:
        self._progress.advance(self._task, count)


class Report:
    """Tells the user what happens, on stderr: stdout only gets the pin."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to a console; without one, to stderr."""
        self._console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, label: str) -> Iterator[Bar]:
        """Show a bar of the bytes that are done."""
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
        """Show a step of unknown duration."""
        if not self._console.is_terminal:
            self.say(f"{label} ...")
            yield
            return
        with self._console.status(label):
            yield
        self.say(f"{label}: done")
