"""Inspecting a SavedModel in the tests' own process, as the task `inspect` does in a worker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tf_embeddings_staging import inspection
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.kinds import Choice
from tf_embeddings_staging.model import Model
from tf_embeddings_staging.options import Options


def survey(folder: Path, options: Options) -> dict[str, Any]:
    """Return the report of a SavedModel; nothing of it runs."""
    report, _ = inspection.examine(folder, options)
    return report


def choice_of(
    folder: Path, options: Options, preprocessor: Path | None = None, root: Path | None = None
) -> Choice:
    """Return what a SavedModel is found to be; nothing of it runs."""
    report, choice = inspection.examine(folder, options, preprocessor, root)
    if choice is None:
        raise StagingError(report["problem"])
    return choice


def examine(folder: Path, options: Options) -> Model:
    """Return the record of a SavedModel, as far as its files tell."""
    return choice_of(folder, options).model


def find(folder: Path, options: Options, preprocessor: Path | None = None) -> Model:
    """Return the record of a SavedModel that embedded one text."""
    return measured(folder, options, preprocessor)[0]


def measured(
    folder: Path, options: Options, preprocessor: Path | None = None
) -> tuple[Model, float | None]:
    """Return that record, and the length of the text's vector."""
    choice = choice_of(folder, options, preprocessor)
    with tempfile.TemporaryDirectory() as target:
        inspection.lay_out(choice, folder, preprocessor, Path(target))
        return inspection.measured(choice.model, Path(target))
