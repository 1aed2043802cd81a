"""The handlers of Snowflake's Python functions.

    import pandas
    from tf_embeddings_udf.snowflake import embed_texts

    def embed(frame):
        frame.attrs['dimensions'] = 384
        return embed_texts(frame, model='minilm', version='v…', build='b…')

    embed._sf_vectorized_input = pandas.DataFrame

The artifact is among the function's IMPORTS: Snowflake puts it into the import directory, and on
`sys.path`, which is where this module comes from then.
https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-batch
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_udf.artifact import unpack
from tf_embeddings_udf.embedder import Embedder, cached, missing_packages
from tf_embeddings_udf.errors import TfEmbeddingsError, stage_command
from tf_embeddings_udf.manifest import Manifest, read_manifest
from tf_embeddings_udf.verify import report

if TYPE_CHECKING:
    import pandas as pd

    from tf_embeddings_udf.planner import Outcomes

UNPACKED_IN = Path("/tmp")
"""The one place that a function may write to; the processes of a query share it."""

_IMPORTS = "snowflake_import_directory"

# Snowflake starts several processes a node, and divides the work between them.
_THREADS = 1


def embed_texts(frame: pd.DataFrame, *, model: str, version: str, build: str) -> pd.Series:
    """Embed a batch of texts; a process loads the model once, at its first batch.

    Args:
        frame: a batch as Snowflake hands it over; its first column holds the texts. None, NaN and
            `pandas.NA` are NULL. The second says `tokens_only`: where it is true, the text's
            tokens are counted and the model does not run on it; NULL is false. Its attribute
            `dimensions` is the pin's, to which vectors are cast; a runtime of before ignores it.
        model: the model's name.
        version: its version, `v…`, of the pin.
        build: the build, `b…`, of the pin.

    Returns:
        One dict for each row, in order, of plain Python types: `embedding` (list of floats or
        None), `token_count` (int or None), `is_truncated` (bool or None) and `status` (`ok`,
        `null`, `blank` or `error`).

    Raises:
        TfEmbeddingsError: the artifact is missing or not what the pin says, a package is missing,
            a value is not a text or not a boolean, or the model fails on any text.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if len(frame):
        with _naming(model, version, build):
            embedder, _ = _loaded(model, version, build, frame.attrs.get("dimensions"))
            rows = _rows(embedder.outcomes(_texts(frame), _tokens_only(frame)))
    return pd.Series(rows, index=frame.index, dtype=object)


def verify_artifact(*, model: str, version: str, build: str) -> dict[str, Any]:
    """Recompute the golden vectors in the warehouse; see `verify.report`.

    Raises:
        TfEmbeddingsError: as `embed_texts` does, or the artifact holds no golden vectors.
    """
    with _naming(model, version, build):
        return report(*_loaded(model, version, build))


@contextlib.contextmanager
def _naming(model: str, version: str, build: str) -> Iterator[None]:
    """Put what ran in front of an error: a query may call functions of several models."""
    try:
        yield
    except TfEmbeddingsError as error:
        what = str(error).removeprefix("tf_embeddings: ")
        pin = f"model '{model}' (version {version}, build {build})"
        raise TfEmbeddingsError(f"tf_embeddings: {pin}: {what}") from error


# The functions of artifacts that are staged already import it by this name.
verify_artefact = verify_artifact


def _loaded(
    model: str, version: str, build: str, dimensions: int | None = None
) -> tuple[Embedder, Path]:
    """Return the model, loaded by this very process, and the folder of its artifact."""
    folder = _unpacked(model, version, build, dimensions)
    return cached(folder, _THREADS), folder


@functools.cache
def _unpacked(model: str, version: str, build: str, dimensions: int | None) -> Path:
    path = _imported(model, f"{model}-{build}.zip")
    manifest = read_manifest(path)
    what = f"is version {manifest.version}" if manifest.version != version else None
    if what is None and dimensions not in (None, manifest.dimensions):
        what = f"has {manifest.dimensions} dimensions, and the pin says {dimensions}"
    if what:
        raise TfEmbeddingsError(
            f"tf_embeddings: the artifact {path.name} {what}. Correct the pin in var "
            f"tf_embeddings_models; to write it again: {stage_command(model)}"
        )
    _require_packages(manifest)
    return unpack(path, UNPACKED_IN, model=model, build=build)


def _imported(model: str, name: str) -> Path:
    """Return the artifact's file in Snowflake's import directory."""
    # https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-examples
    came = sys._xoptions.get(_IMPORTS)
    if not isinstance(came, str) or not came:
        raise TfEmbeddingsError(
            f"tf_embeddings: there is no import directory: Python was not started with "
            f"-X {_IMPORTS}=<folder>/, as Snowflake starts it. Elsewhere, call "
            f"tf_embeddings_udf.load(tf_embeddings_udf.unpack(…))."
        )
    folder = Path(came)
    if (folder / name).is_file():
        return folder / name
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise TfEmbeddingsError(
        f"tf_embeddings: the artifact {name} is not among the function's imports "
        f"(they are: {', '.join(there) or 'none'}). "
        f"Stage it with: {stage_command(model)} --target <target>"
    )


def _require_packages(manifest: Manifest) -> None:
    if missing := missing_packages(manifest.packages):
        raise TfEmbeddingsError(
            f"tf_embeddings: the function lacks Python packages: {', '.join(missing)}. Correct "
            f"'packages' in the pin in var tf_embeddings_models; to write it again: "
            f"{stage_command(manifest.model)}"
        )


def _texts(frame: pd.DataFrame) -> list[str | None]:
    texts = _values(frame, 0)
    for row, text in enumerate(texts):
        if not isinstance(text, str | None):
            raise TfEmbeddingsError(
                f"tf_embeddings: row {row} of the batch is a {type(text).__name__}, not a text. "
                f"Cast what is embedded to VARCHAR."
            )
    return texts


def _tokens_only(frame: pd.DataFrame) -> list[bool]:
    values = _values(frame, 1)
    for row, value in enumerate(values):
        if value not in (None, False, True):  # NumPy's are equal to Python's, and so are 0 and 1
            raise TfEmbeddingsError(
                f"tf_embeddings: tokens_only of row {row} of the batch is a "
                f"{type(value).__name__}, not a boolean. Cast it to BOOLEAN."
            )
    return [bool(value) for value in values]


def _values(frame: pd.DataFrame, place: int) -> list[Any]:
    """Return a column, with None for each form of NULL."""
    column = frame.iloc[:, place]
    return [
        None if is_null else value
        for value, is_null in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def _rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Return the outcomes in plain Python: Snowflake refuses NumPy's numbers."""
    columns = zip(
        outcomes.embeddings.tolist(),
        outcomes.valid.tolist(),
        outcomes.token_counts.tolist(),
        outcomes.is_truncated.tolist(),
        outcomes.counted.tolist(),
        outcomes.statuses.tolist(),
        strict=True,
    )
    return [
        {
            "embedding": vector if is_valid else None,
            "token_count": count if is_counted else None,
            "is_truncated": is_truncated if is_counted else None,
            "status": status,
        }
        for vector, is_valid, count, is_truncated, is_counted, status in columns
    ]
