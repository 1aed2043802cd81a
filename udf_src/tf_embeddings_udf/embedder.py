"""A loaded model, and the one of each that a process keeps."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tf_embeddings_udf.errors import TfEmbeddingsError, pip_command
from tf_embeddings_udf.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.planner import Outcomes, Planner

_cached: dict[tuple[str, int], Embedder] = {}  # by folder and process
_lock = threading.Lock()


class Embedder:
    """A loaded model. Any number of threads may call it; a forked child may not."""

    def __init__(self, manifest: Manifest, planner: Planner) -> None:
        """Wrap a planner around a loaded encoder; `load` makes them."""
        self.manifest = manifest
        self._planner = planner
        self._process = os.getpid()

    @property
    def engine(self) -> Engine:
        """What runs the model."""
        return self._planner.encoder.engine

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.manifest.dimensions

    def embed(self, texts: Sequence[str | None]) -> Outcomes:
        """Embed texts; see `Outcomes`.

        Raises:
            TfEmbeddingsError: the model fails on any text, or this is a fork of the process that
                loaded it, whose threads a child does not have.
        """
        self._require_same_process()
        return self._planner.embed(texts)

    def count(self, texts: Sequence[str | None]) -> Outcomes:
        """Count tokens as `embed` does; the model does not run, and no row has an embedding.

        Raises:
            TfEmbeddingsError: as `embed` does.
        """
        self._require_same_process()
        return self._planner.count(texts)

    def outcomes(
        self,
        texts: Sequence[str | None],
        tokens_only: Sequence[bool] | np.ndarray,
        canceled: threading.Event | None = None,
    ) -> Outcomes:
        """Embed texts; where `tokens_only` is true, only count their tokens.

        Raises:
            TfEmbeddingsError: as `embed` does.
        """
        self._require_same_process()
        return self._planner.outcomes(texts, tokens_only, canceled)

    def _require_same_process(self) -> None:
        if os.getpid() != self._process:
            raise TfEmbeddingsError(
                f"tf_embeddings: model '{self.manifest.model}' was loaded before this process "
                f"was forked, and its threads do not survive a fork. Load it in the child, or "
                f"start processes with multiprocessing's 'spawn'."
            )


def load(folder: Path | str, threads: int = 0) -> Embedder:
    """Load an unpacked artifact with its engine; TensorFlow takes seconds, LiteRT does not.

    Args:
        folder: the unpacked artifact, as `unpack` returns it.
        threads: how many the model may use, 0 for all cores. TensorFlow's are the process's: its
            first model decides.

    Raises:
        TfEmbeddingsError: the manifest does not fit this runtime, or a Python package is missing.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        from tf_embeddings_udf.encoders import load_encoder
        from tf_embeddings_udf.planner import Planner

        planner = Planner(load_encoder(manifest, folder, threads), manifest)
    except ModuleNotFoundError as error:
        package = _package_of(error.name, manifest)
        raise TfEmbeddingsError(
            f"tf_embeddings: model '{manifest.model}' needs the Python package '{package}', "
            f"which is not installed. Install it with: {pip_command(package)}"
        ) from None
    return Embedder(manifest, planner)


def cached(folder: Path | str, threads: int = 0) -> Embedder:
    """Load an unpacked artifact once per process; other threads wait meanwhile."""
    key = (os.path.realpath(folder), os.getpid())
    with _lock:
        if key not in _cached:
            _cached[key] = load(folder, threads)
        return _cached[key]


def missing_packages(packages: Iterable[str]) -> list[str]:
    """Return those that are not installed, without importing any: TensorFlow takes seconds."""
    return [name for name in packages if not _is_installed(name)]


def _package_of(module: str | None, manifest: Manifest) -> str | None:
    """Return the package that brings a module, as the manifest calls it."""
    top = module and module.partition(".")[0]
    return next((one for one in manifest.packages if _module_of(one) == top), top)


def _module_of(package: str) -> str:
    return package.replace("-", "_")


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(_module_of(package)) is not None
    except (ImportError, ValueError):
        return False
