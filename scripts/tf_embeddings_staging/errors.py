"""The exceptions of the staging CLI."""

from __future__ import annotations

# Packages for making an artifact, not needed to stage an existing one.
_OF_MAKING = (
    *("h5py", "httpx2", "huggingface_hub", "keras", "ml_dtypes", "pkg_resources"),
    *("requests", "safetensors", "tensorflow_hub", "urllib3"),
)


class StagingError(Exception):
    """An error that the user can fix; the message says where, what and the next step.

    Attributes:
        details: a traceback or a log, shown with --debug.
    """

    def __init__(self, message: str, details: str | None = None) -> None:
        """Say what is wrong."""
        super().__init__(message)
        self.details = details


class StoppedError(StagingError):
    """A process exceeded a limit of memory or time."""


class CrashedError(StagingError):
    """A process crashed."""


class SourceError(Exception):
    """A source gave no model, but another one may; the message says why."""


def missing_package(package: str) -> StagingError:
    """Return the error for a Python package that is not installed."""
    # Not at the top: the probe imports this module, and it runs the artifact's own runtime.
    from tf_embeddings_udf import pip_command

    is_of_making = package.replace("-", "_") in _OF_MAKING
    command = pip_command("tensorflow" if is_of_making else package)
    return StagingError(
        f"the Python package '{package}' is not installed. Install it with: {command}"
    )
