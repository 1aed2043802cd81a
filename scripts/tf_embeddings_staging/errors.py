"""The one exception of the staging CLI."""

from __future__ import annotations

PIP_COMMAND = "pip install -r dbt_packages/tf_embeddings/requirements.txt"


class StagingError(Exception):
    """Something that the user can put right; the message says where, what and the next step."""


def missing_package(package: str) -> StagingError:
    """Return the error for a Python package that is not installed."""
    return StagingError(
        f"the Python package '{package}' is not installed. Install it with: {PIP_COMMAND}"
    )
