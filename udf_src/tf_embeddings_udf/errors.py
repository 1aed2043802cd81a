"""The one exception of the runtime, and the next steps that its messages end with."""

from __future__ import annotations

_PACKAGE = "dbt_packages/tf_embeddings"

# What a run needs is in requirements.txt; these need TensorFlow, which is in the other file.
_OF_TENSORFLOW = ("tensorflow", "tensorflow_text")


class TfEmbeddingsError(Exception):
    """Something that the user can put right; the message says where, what and the next step."""


def stage_command(source: str) -> str:
    """Return the command that stages `source` (a catalogue name or the user's own source)."""
    return f"python {_PACKAGE}/scripts/stage_model.py {source} --write"


def pip_command(*packages: str | None) -> str:
    """Return the command that installs packages that are missing where a model runs."""
    names = {(package or "").replace("-", "_") for package in packages}
    suffix = "-staging" if names & set(_OF_TENSORFLOW) else ""
    return f"pip install -r {_PACKAGE}/requirements{suffix}.txt"
