"""Stand-ins for dbt's own macros, so that sqlfluff can render the demo's models."""

from __future__ import annotations


def current_timestamp() -> str:
    """Return an expression."""
    return "now()"
