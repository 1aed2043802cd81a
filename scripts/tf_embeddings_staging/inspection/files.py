"""Which files of a SavedModel's folder count."""

from __future__ import annotations

from pathlib import Path

from tf_embeddings_staging.errors import StagingError

GRAPH = "saved_model.pb"
ASSETS = "assets"

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_MOST_OF_A_POINTER = 1024

# The rest of a SavedModel's folder is bookkeeping: fingerprint.pb even holds a random UUID.
_FOLDERS = ("variables", ASSETS, "assets.extra")


def is_saved_model(folder: Path) -> bool:
    """Tell whether a folder is a SavedModel."""
    return (folder / GRAPH).is_file()


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a SavedModel that count, by their path in it.

    Raises:
        StagingError: one is a link that leaves the folder, or has a name that is not UTF-8.
    """
    paths = [folder / GRAPH]
    for name in _FOLDERS:
        paths += [path for path in (folder / name).rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in sorted(paths)}
    shown = {name: path for name, path in named.items() if not is_hidden(name)}
    for name, path in shown.items():
        require_text(name)
        require_inside(path, folder)
        require_no_pointer(path)
    return shown


def require_no_pointer(path: Path) -> None:
    """Refuse what Git leaves in a file's place where Git LFS is not installed.

    Raises:
        StagingError: it is that.
    """
    if not path.is_file() or path.stat().st_size > _MOST_OF_A_POINTER:
        return
    with path.open("rb") as file:
        if file.read(len(_POINTER)) != _POINTER:
            return
    raise StagingError(
        f"'{path.name}' is a pointer of Git LFS, not the file itself. Install Git LFS and run "
        f"'git lfs pull' in the model's folder, or download the file."
    )


def require_text(name: str) -> None:
    """Refuse the name of a file that is not UTF-8: a manifest cannot hold it.

    Raises:
        StagingError: it is not.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        said = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise StagingError(f"the file name '{said}' is not UTF-8. Rename the file.") from None


def require_inside(path: Path, folder: Path) -> None:
    """Refuse a link to what is outside of a model's folder.

    Hugging Face's cache is let in: it keeps the files of `snapshots/<revision>` in `blobs`.
    https://huggingface.co/docs/huggingface_hub/guides/manage-cache

    Raises:
        StagingError: it leads out.
    """
    base, led = folder.resolve(), path.resolve()
    if led.is_relative_to(base):
        return
    snapshots = [one for one in (base, *base.parents) if one.parent.name == "snapshots"]
    if any(led.parent == one.parents[1] / "blobs" for one in snapshots):
        return
    raise StagingError(
        f"'{path.relative_to(folder).as_posix()}' is a link that leaves the model's folder. Put "
        f"the file itself there."
    )


def required(path: Path, why: str) -> Path:
    """Return the path of a file of a model's folder that must be there.

    Raises:
        StagingError: it is not, and `why` ends the sentence; or it is a pointer of Git LFS.
    """
    require_no_pointer(path)
    if path.is_file():
        return path
    raise StagingError(f"the folder '{path.parent.name}' has no '{path.name}'; {why}")


def is_hidden(name: str) -> bool:
    """Tell whether a path has a part that starts with a dot: .DS_Store, a Mac's ._ files."""
    return any(part.startswith(".") for part in name.split("/"))
