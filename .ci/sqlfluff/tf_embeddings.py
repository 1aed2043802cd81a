"""Stand-ins for the package's macros, so that sqlfluff works without dbt."""

from __future__ import annotations


def embed(text: str, model: str | None = None) -> str:
    """Return SQL of the same shape: an expression."""
    return f"embed({text})"


def embedding_version(model: str | None = None) -> str:
    """Return SQL of the same shape: a literal."""
    return "'v0'"


def near_duplicates(**arguments: object) -> str:
    """Return SQL of the same shape: a query."""
    return "select id_a, id_b, cosine_similarity from pairs"


def nearest_neighbors(**arguments: object) -> str:
    """Return SQL of the same shape: a query."""
    return "select query_id, neighbor_id, cosine_similarity, neighbor_rank from neighbors"
