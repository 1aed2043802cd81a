"""Which files of a SavedModel's folder count."""

from __future__ import annotations

from pathlib import Path

GRAPH = "saved_model.pb"
ASSETS = "assets"

# The rest of a SavedModel's folder is bookkeeping: fingerprint.pb even holds a random UUID.
_FOLDERS = ("variables", ASSETS, "assets.extra")


def is_saved_model(folder: Path) -> bool:
    """Tell whether a folder is a SavedModel."""
    return (folder / GRAPH).is_file()


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a SavedModel that count, by their path in it."""
    paths = [folder / GRAPH]
    for name in _FOLDERS:
        paths += [path for path in (folder / name).rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in sorted(paths)}
    return {name: path for name, path in named.items() if not is_hidden(name)}


def is_hidden(name: str) -> bool:
    """Tell whether a path has a part that starts with a dot: .DS_Store, a Mac's ._ files."""
    return any(part.startswith(".") for part in name.split("/"))
