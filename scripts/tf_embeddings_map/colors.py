"""The colors of categories, on light and on dark paper: page and picture have the same."""

from __future__ import annotations

LIGHT = (
    *("#2f6fde", "#e8590c", "#2b8a3e", "#c2255c"),
    *("#8a5cd6", "#0c8599", "#a67c00", "#7a4a2b"),
)
DARK = (
    *("#7aa8ff", "#ff9a5c", "#69d08a", "#ff83ab"),
    *("#c3a3ff", "#4fd0e0", "#e8c547", "#d9a27c"),
)


def declarations(colors: tuple[str, ...]) -> str:
    """Return them as properties of CSS: --c0, --c1, …."""
    return " ".join(f"--c{number}: {color};" for number, color in enumerate(colors))
