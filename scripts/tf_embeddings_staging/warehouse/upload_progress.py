"""The progress bar of an upload by Snowflake's connector, which does not call its callbacks.

A macro logs when the upload begins and its size. The connector's own log tells the progress, chunk
by chunk. If it does not (files of one chunk, Google Cloud), the bar shows size and elapsed time.
"""

from __future__ import annotations

import json
import logging
import re
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tf_embeddings_staging.progress import Bar, Report

_BEGINS = "tf_embeddings_upload "
_ENDS = "tf_embeddings_uploaded"
_CHUNKS = re.compile(r"Chunk progress: .*: completed: (\d+) failed: \d+ total: (\d+)")


class Upload:
    """Draws a bar from the first log line of an upload to the last; a context manager."""

    def __init__(self, report: Report | None = None) -> None:
        """Draw on a report; without one, on stderr."""
        self._report = report or Report()
        self._stack = ExitStack()

    def hear(self, line: str) -> None:
        """Handle a line that a macro logged."""
        if line.startswith(_BEGINS):
            self._begin(json.loads(line.removeprefix(_BEGINS))["bytes"])
        elif line == _ENDS:
            self._stack.close()

    def _begin(self, total: int) -> None:
        bar = self._stack.enter_context(
            self._report.bar(f"Uploading {total / 1e6:,.1f} MB to the stage")
        )
        listener = ChunkListener(bar, total)
        # Only this logger, and without propagation: other debug lines are noise, and the errors
        # have signed URLs.
        logger = logging.getLogger("snowflake.connector.file_transfer_agent")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(listener)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        self._stack.callback(setattr, logger, "propagate", propagate)
        self._stack.callback(logger.setLevel, level)
        self._stack.callback(logger.removeHandler, listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


class ChunkListener(logging.Handler):
    """Moves a bar by the connector's log records of sent chunks."""

    def __init__(self, bar: Bar, total: int) -> None:
        """Move a bar of `total` bytes."""
        super().__init__(logging.DEBUG)
        self._bar = bar
        self._total = total
        self._done = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a record."""
        found = _CHUNKS.fullmatch(record.getMessage())
        if not found:
            return
        done = self._total * int(found[1]) // int(found[2])
        if not self._done and done < self._total:
            self._bar.expect(self._total)
        self._bar.advance(done - self._done)
        self._done = done
