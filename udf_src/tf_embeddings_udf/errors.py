"""The one exception of the runtime, and the next steps that its messages end with."""

from __future__ import annotations

PIP_COMMAND = "pip install -r dbt_packages/tf_embeddings/requirements.txt"


class TfEmbeddingsError(Exception):
    """Something that the user can put right; the message says where, what and the next step."""


def stage_command(source: str) -> str:
    """Return the command that stages `source` (a catalogue name or the user's own source)."""
    return f"python dbt_packages/tf_embeddings/scripts/stage_model.py {source} --write"
