"""Holding back what C++ libraries write to stderr when they are first used."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# The process has one stderr: only one thread at a time can hold it back.
_lock = threading.Lock()


@contextmanager
def without_lines(pattern: re.Pattern[bytes]) -> Iterator[None]:
    """Hold back what is written to stderr, then write the lines that do not match.

    C++ writes to the file descriptor, so the descriptor is redirected.
    """
    with _lock:
        try:
            stderr = os.dup(2)
        except OSError:  # there is no stderr
            yield
            return
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                held.seek(0)
                for line in held:
                    if not pattern.match(line):
                        os.write(2, line)
