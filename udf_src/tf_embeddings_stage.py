"""A stage folder: where artifacts are on a machine, and what a model needs to run from there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_udf import (
    Manifest,
    TfEmbeddingsError,
    missing_packages,
    pip_command,
    stage_command,
)

_FILE_NAME = re.compile(r"([a-z][a-z0-9_]{0,39})-(b[0-9a-f]{12})\.zip")
_MOST_FILES_LISTED = 5


@dataclass(frozen=True)
class Stage:
    """The stage folder, the cache for its unpacked artifacts, and the models' threads."""

    folder: Path
    cache: Path
    threads: int

    def artifacts(self) -> list[Path]:
        """Return the files of the artifacts, `<model>/<version>/<model>-<build>.zip`, sorted."""
        found = self.folder.glob("*/*/*.zip")
        return sorted(path for path in found if _FILE_NAME.fullmatch(path.name))

    def find(self, model: str, version: str, build: str) -> Path:
        """Return the file of an artifact: from its own place, or from another version's folder.

        Raises:
            TfEmbeddingsError: it is not there.
        """
        name = f"{model}-{build}.zip"
        staged = self.artifacts()
        expected = self.folder / model / version / name
        if expected in staged:
            return expected
        elsewhere = [path for path in staged if path.name == name]
        if elsewhere:
            return elsewhere[0]
        raise TfEmbeddingsError(
            f"tf_embeddings: the artifact of model '{model}' (version {version}, build {build}) is "
            f"not in the stage folder '{self.folder}' ({self._listing(staged)}). "
            f"Stage it with: {stage_command(model)}"
        )

    def _listing(self, staged: list[Path]) -> str:
        if not self.folder.is_dir():
            return "it does not exist"
        if not staged:
            return "it is empty"
        names = [path.relative_to(self.folder).as_posix() for path in staged[:_MOST_FILES_LISTED]]
        more = len(staged) - len(names)
        return f"it has: {', '.join(names)}{f' and {more} more' if more else ''}"


def stage_of(
    config: Mapping[str, Any],
    says: str = "the plugin's config says",
    start: str | os.PathLike[str] = "",
) -> Stage:
    """Return the stage that a config of `stage`, `cache` and `threads` describes.

    Args:
        config: the plugin's, or the arguments of a call.
        says: what introduces a wrong value in a message.
        start: where relative paths start; the current folder if not given.

    Raises:
        TfEmbeddingsError: a value is of the wrong type.
    """
    folder = _folder(config, "stage", "tf_embeddings_stage", says, start)
    cache = _folder(config, "cache", str(folder / ".cache"), says, start)
    threads = config.get("threads", 0)
    if type(threads) is not int or threads < 0:
        raise TfEmbeddingsError(
            f"tf_embeddings: {says} threads: {threads!r}. Give a whole number, or 0 for all cores."
        )
    return Stage(folder, cache, threads)


def _folder(
    config: Mapping[str, Any], key: str, default: str, says: str, start: str | os.PathLike[str]
) -> Path:
    value = config.get(key, default)
    if isinstance(value, str) and value:
        return Path(start, Path(value).expanduser()).absolute()
    raise TfEmbeddingsError(f"tf_embeddings: {says} {key}: {value!r}. Give the path of a folder.")


def model_and_build(path: Path) -> tuple[str, str]:
    """Return the model and the build that an artifact's file is named after."""
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(path.name)
    return match[1], match[2]


def require_packages(manifest: Manifest, *more: str) -> None:
    """Refuse a model whose Python packages, or the others that are named, are not installed.

    Raises:
        TfEmbeddingsError: the sentence names them and the command.
    """
    missing = missing_packages(dict.fromkeys([*manifest.packages, *more]))
    if not missing:
        return
    packages = ", ".join(missing)
    raise TfEmbeddingsError(
        f"tf_embeddings: model '{manifest.model}' needs Python packages that are not installed: "
        f"{packages}. Install them with: {pip_command(*missing)}"
    )
