"""The exceptions of the staging CLI."""

from __future__ import annotations

import contextlib
import importlib.metadata

_REQUIREMENTS = "pip install -r dbt_packages/tf_embeddings/requirements"

# What making an artefact needs, and staging one that was made before does not.
_OF_MAKING = ("keras", "ml_dtypes", "pkg_resources", "safetensors", "tensorflow", "tensorflow_hub")

# Few models need it, so no requirements have it.
_TEXT = "tensorflow_text"
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")


class StagingError(Exception):
    """Something that the user can put right; the message says where, what and the next step.

    Attributes:
        details: the long text behind the message, for --debug: a traceback, a log.
    """

    def __init__(self, message: str, details: str | None = None) -> None:
        """Tell what is wrong."""
        super().__init__(message)
        self.details = details


class SourceError(Exception):
    """A source gave no model, where another may; the message says why."""


def missing_package(package: str) -> StagingError:
    """Return the error for a Python package that is not installed."""
    suffix = "-staging" if package.replace("-", "_") in _OF_MAKING else ""
    command = _install_text() if package == _TEXT else f"{_REQUIREMENTS}{suffix}.txt"
    return StagingError(
        f"the Python package '{package}' is not installed. Install it with: {command}"
    )


def _install_text() -> str:
    """Return how to install TensorFlow Text: without a release, pip may change TensorFlow's."""
    for name in _TENSORFLOWS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            release = ".".join(importlib.metadata.version(name).split(".")[:2])
            return f"pip install 'tensorflow-text=={release}.*'"
    return "pip install tensorflow-text"
