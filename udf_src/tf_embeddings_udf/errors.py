"""The one exception of the runtime, and the next steps that its messages end with."""

from __future__ import annotations

import contextlib
import importlib.metadata
import threading

_PACKAGE = "dbt_packages/tf_embeddings"

_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")


class Cancellation:
    """Ends running calls without a result, as at Ctrl-C; calls that start later are unaffected."""

    def __init__(self) -> None:
        """Begin with nothing canceled."""
        self._canceled = threading.Event()

    def current(self) -> threading.Event:
        """Return the event that is set when a call that starts now must end."""
        return self._canceled

    def cancel(self) -> None:
        """End the calls that have started."""
        canceled, self._canceled = self._canceled, threading.Event()
        canceled.set()


cancellation = Cancellation()


class TfEmbeddingsError(Exception):
    """Something that the user can put right; the message says where, what and the next step.

    Attributes:
        what: what is wrong with an artifact that cannot be used, without the next step, which
            differs between where it is staged and where it runs.
    """

    what: str | None = None


def stage_command(source: str) -> str:
    """Return the command that stages `source` (a catalogue name or the user's own source)."""
    return f"python {_PACKAGE}/scripts/stage_model.py {source} --write"


def pip_command(*packages: str | None) -> str:
    """Return the command that installs packages that are missing where a model runs.

    requirements.txt has what a run needs, requirements-staging.txt adds TensorFlow, and neither has
    TensorFlow Text, which few models need.
    """
    names = {(package or "").replace("-", "_") for package in packages}
    if names == {"tensorflow_text"}:
        return _install_text()
    suffix = "-staging" if "tensorflow" in names else ""
    return f"pip install -r {_PACKAGE}/requirements{suffix}.txt"


def _install_text() -> str:
    """Return how to install TensorFlow Text: without a version, pip may change TensorFlow's."""
    for name in _TENSORFLOWS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            release = ".".join(importlib.metadata.version(name).split(".")[:2])
            return f"pip install 'tensorflow-text=={release}.*'"
    return "pip install tensorflow-text"
