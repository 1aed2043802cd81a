"""The bar of an upload by Snowflake's connector, which calls none of its own callbacks.

A macro says when the upload begins and how many bytes it has. How many are done is told by the
connector's own log, chunk by chunk; where it tells nothing (files of one chunk, Google Cloud), the
bar shows the size and the time that has gone by.
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
    """Draws a bar from the first line of the log to the last; a context, so that it ends."""

    def __init__(self, report: Report | None = None) -> None:
        """Draw on this report; on stderr if none is given."""
        self._report = report or Report()
        self._stack = ExitStack()

    def hear(self, line: str) -> None:
        """Take a line that a macro logged."""
        if line.startswith(_BEGINS):
            self._begin(json.loads(line.removeprefix(_BEGINS))["bytes"])
        elif line == _ENDS:
            self._stack.close()

    def _begin(self, total: int) -> None:
        bar = self._stack.enter_context(
            self._report.bar(f"Uploading {total / 1e6:,.1f} MB to the stage")
        )
        listener = ChunkListener(bar, total)
        # Only so far down: what else the connector logs at this level is not for a terminal, and
        # its errors hold addresses that are good for an upload.
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
    """Moves a bar by the connector's own records of the chunks that it has sent."""

    def __init__(self, bar: Bar, total: int) -> None:
        """Move this bar, of `total` bytes."""
        super().__init__(logging.DEBUG)
        self._bar = bar
        self._total = total
        self._done = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        found = _CHUNKS.fullmatch(record.getMessage())
        if not found:
            return
        done = self._total * int(found[1]) // int(found[2])
        if not self._done and done < self._total:
            self._bar.expect(self._total)
        self._bar.advance(done - self._done)
        self._done = done
