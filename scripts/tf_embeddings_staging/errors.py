"""The exceptions of the staging CLI."""

from __future__ import annotations

PIP_COMMAND = "pip install -r dbt_packages/tf_embeddings/requirements.txt"

# What requirements.txt leaves out, for few models need it: the name to import, and to install.
_OPTIONAL = {"tensorflow_text": "tensorflow-text"}


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
    command = f"pip install {_OPTIONAL[package]}" if package in _OPTIONAL else PIP_COMMAND
    return StagingError(
        f"the Python package '{package}' is not installed. Install it with: {command}"
    )
