"""Show an upload: a macro logs when it begins, its size, and when it ends.

What is sent in between is not shown: no version of dbt says it.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tf_embeddings_staging.progress import Report

_BEGINS = "tf_embeddings_upload "
_ENDS = "tf_embeddings_uploaded"


class Upload:
    """Shows an upload from its first log line to its last; a context manager."""

    def __init__(self, report: Report | None = None) -> None:
        """Show it on a report; without one, on stderr."""
        self._report = report or Report()
        self._stack = ExitStack()

    def hear(self, line: str) -> None:
        """Handle a line that a macro logged."""
        if line.startswith(_BEGINS):
            size = json.loads(line.removeprefix(_BEGINS))["bytes"]
            label = f"Uploading {size / 1e6:,.1f} MB to the stage"
            self._stack.enter_context(self._report.step(label))
        elif line == _ENDS:
            self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
