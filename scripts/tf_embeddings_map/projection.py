"""Give each vector a place on a plane."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from tf_embeddings_staging.errors import StagingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What `pip install` calls them.
PACKAGES = {"umap": "umap-learn", "pacmap": "pacmap"}
METHODS = ("pca", *PACKAGES)
FEWEST_ROWS = 4
_SEED = 42


def require(method: str) -> None:
    """Refuse a method before anything is read.

    Raises:
        StagingError: its package is missing.
    """
    if method in PACKAGES and importlib.util.find_spec(method) is None:
        raise StagingError(
            f"--method {method} needs the Python package {PACKAGES[method]}. Install it with: pip "
            f"install {PACKAGES[method]}"
        )


def project(vectors: NDArray[np.float32], method: str) -> NDArray[np.float64]:
    """Return [rows, 2]: each vector's place, the same on every call.

    Raises:
        StagingError: there are too few different vectors.
    """
    if len(vectors) < FEWEST_ROWS:
        raise StagingError(
            f"a map needs at least {FEWEST_ROWS} vectors, and there are {len(vectors)}. Choose a "
            f"model with more rows."
        )
    different = len(np.unique(vectors, axis=0))
    if different < FEWEST_ROWS:
        raise StagingError(
            f"a map needs at least {FEWEST_ROWS} different vectors, and {len(vectors):,} rows have "
            f"{different}. Embed a column whose texts differ, or name another one in --embedding."
        )
    if method == "pca":
        return pca(vectors)
    places = _OTHERS[method](vectors, importlib.import_module(method))
    return np.asarray(places, np.float64)


def pca(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the first two principal components of each vector, [rows, 2].

    Computed from the covariance in double precision, [dimensions, dimensions], which is small. The
    component of an axis with the largest size is positive: the sign is otherwise arbitrary.
    """
    centered = vectors.astype(np.float64)
    centered -= centered.mean(axis=0)
    if centered.shape[1] == 1:
        return np.column_stack([centered[:, 0], np.zeros(len(centered))])
    _, axes = np.linalg.eigh(centered.T @ centered)
    two = axes[:, [-1, -2]]
    largest = two[np.abs(two).argmax(axis=0), [0, 1]]
    return centered @ (two * np.sign(largest))


def _umap(vectors: NDArray[np.float32], umap: Any) -> Any:  # noqa: ANN401
    """https://umap-learn.readthedocs.io/en/latest/reproducibility.html."""
    neighbors = min(15, len(vectors) - 1)
    reducer = umap.UMAP(
        metric="cosine",
        n_neighbors=neighbors,
        init="random" if len(vectors) < 10 else "spectral",
        random_state=_SEED,
        n_jobs=1,
    )
    return reducer.fit_transform(vectors)


def _pacmap(vectors: NDArray[np.float32], pacmap: Any) -> Any:  # noqa: ANN401
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.where(lengths > 0, lengths, 1)
    return pacmap.PaCMAP(random_state=_SEED).fit_transform(directions, init="pca")


_OTHERS = {"umap": _umap, "pacmap": _pacmap}
