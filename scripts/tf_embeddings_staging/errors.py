"""The exceptions of the staging CLI."""

from __future__ import annotations

# What making an artifact needs, and staging one that was made before does not.
_OF_MAKING = (
    *("h5py", "httpx2", "huggingface_hub", "keras", "ml_dtypes", "pkg_resources"),
    *("requests", "safetensors", "tensorflow_hub", "urllib3"),
)


class StagingError(Exception):
    """Something that the user can put right; the message says where, what and the next step.

    Attributes:
        details: the long text behind the message, for --debug: a traceback, a log.
    """

    def __init__(self, message: str, details: str | None = None) -> None:
        """Tell what is wrong."""
        super().__init__(message)
        self.details = details


class StoppedError(StagingError):
    """A process went beyond a limit: on another machine, or with another limit, it would not."""


class CrashedError(StagingError):
    """A process crashed."""


class SourceError(Exception):
    """A source gave no model, where another may; the message says why."""


def missing_package(package: str) -> StagingError:
    """Return the error for a Python package that is not installed."""
    # Not above: the probe, which imports this module too, runs the runtime of the artifact.
    from tf_embeddings_udf import pip_command

    is_of_making = package.replace("-", "_") in _OF_MAKING
    command = pip_command("tensorflow" if is_of_making else package)
    return StagingError(
        f"the Python package '{package}' is not installed. Install it with: {command}"
    )
