"""Stand-ins for the package's macros, so that sqlfluff can render the demo's models."""

from __future__ import annotations


def embed(text: str, model: str | None = None) -> str:
    """Return an expression."""
    return f"an_embedding({text})"


def embedding_version(model: str | None = None) -> str:
    """Return a literal."""
    return "'v000000000000'"


def nearest_neighbors(*_: object, **__: object) -> str:
    """Return a query."""
    return "select query_id, neighbor_id, cosine_similarity, neighbor_rank from a_relation"
