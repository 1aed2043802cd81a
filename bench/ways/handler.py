"""The Snowflake function, in a worker process as the tests' local Snowflake starts and feeds it.

One process, one thread, batches of the sizes that the local Snowflake sends. The time includes the
JSON of texts and rows.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from worker import Call, Way

MOST_ROWS = 512
"""The default of tf_embeddings_max_batch_size."""
SECONDS = 180.0

# As the macro _function_definition writes it.
BODY = f"""
import pandas
from tf_embeddings_udf.snowflake import embed_texts

def embed(frame):
    return embed_texts(frame, model={{model!r}}, version={{version!r}}, build={{build!r}})

embed._sf_vectorized_input = pandas.DataFrame
embed._sf_max_batch_size = {MOST_ROWS}
"""


def start(tests: str, artifact: str, version: str) -> Way:
    """Start the process with an artifact's zip."""
    sys.path.insert(0, tests)
    from local_snowflake.execution import Worker, batch_sizes

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for place in ("tmp", "imports"):
        (folder / place).mkdir()
    path = Path(shutil.copy(artifact, folder / "imports"))
    model, _, build = path.stem.rpartition("-")
    worker = Worker(
        Path(sys.executable),
        folder / "errors.txt",
        {
            "tmp": str(folder / "tmp"),
            "imports": str(folder / "imports"),
            "hidden_modules": [],
            "body": BODY.format(model=model, version=version, build=build),
            "handler": "embed",
            "parameters": ["varchar", "boolean"],
            "returns": "object",
            "kill_token": None,
        },
    )
    _require_no_error(worker.receive(SECONDS))

    def embed(texts: list[str]) -> list[str]:
        worker.send({"columns": [texts, [False] * len(texts)]})
        return _require_no_error(worker.receive(SECONDS))["results"]

    def way(texts: Sequence[str]) -> Call:
        def call() -> _Rows:
            sizes, rows = batch_sizes(MOST_ROWS), _Rows()
            while len(rows) < len(texts):
                rows += embed(list(texts[len(rows) : len(rows) + next(sizes)]))
            return rows

        return call

    return way


class _Rows(list[str]):
    """Rows of JSON objects; as an array, their vectors."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401
        return np.array([json.loads(row)["embedding"] for row in self], dtype)


def _require_no_error(answer: dict) -> dict:
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer
