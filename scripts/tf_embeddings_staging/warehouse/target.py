"""Find the stage: a macro says where a dbt target keeps artifacts, and checks what it can."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_embeddings_udf.engines import LITERT, TENSORFLOW

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.warehouse.dbt_process import DbtOptions, run_macro

_PROJECT_FILE = "dbt_project.yml"
_TYPES = ("duckdb", "snowflake")


@dataclass(frozen=True)
class Target:
    """Where a dbt target keeps its artifacts.

    Attributes:
        type: duckdb or snowflake.
        stage: a folder on DuckDB, @database.schema.stage else.
        engines: those that a function can have there.
        dbt: the version of the dbt that was asked.
        most_dimensions: the numbers that a vector can have there; None: no limit is known.
        warnings: what may keep a function from being made there, in sentences.
    """

    type: str
    stage: str
    engines: tuple[str, ...]
    dbt: str
    most_dimensions: int | None
    warnings: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Return the stage folder of a DuckDB target.

        A relative path starts from the current folder, as the paths of dbt-duckdb do.
        """
        return Path.cwd() / Path(self.stage).expanduser()


def project_folder(given: str | None) -> Path:
    """Return the folder of the dbt project: the given one, or found upward from here, as dbt does.

    Raises:
        StagingError: no dbt_project.yml was found.
    """
    chosen = given or os.environ.get("DBT_PROJECT_DIR")
    start = Path(chosen or ".").absolute()
    for folder in [start] if chosen else [start, *start.parents]:
        if (folder / _PROJECT_FILE).is_file():
            return folder
    raise StagingError(
        f"there is no {_PROJECT_FILE} in '{start}'{'' if chosen else ' or above it'}. Run this in "
        f"a dbt project, or name its folder with --project-dir."
    )


def require_place(target: Target, project: Path) -> None:
    """Refuse to stage where no other call of dbt would look.

    Raises:
        StagingError: the stage is relative, and the current folder is below the project's.
    """
    here = Path.cwd()
    is_relative = target.type == "duckdb" and not Path(target.stage).expanduser().is_absolute()
    if is_relative and project.resolve() in here.resolve().parents:
        raise StagingError(
            f"the stage '{target.stage}' is relative, and dbt-duckdb starts from the folder where "
            f"it is called, which is '{here}'. Run this in the project's folder: cd {project}"
        )


def find_target(options: DbtOptions, packages: Sequence[str]) -> Target:
    """Ask the macro, which also checks that a function with these packages can be created there.

    Raises:
        StagingError: dbt or a check fails, or the target's warehouse is not supported.
    """
    answer = run_macro(options, "_staging_target", {"packages": list(packages)})
    if answer.get("type") not in _TYPES:
        raise StagingError(
            f"the dbt target has type '{answer.get('type')}', but models can only be staged for "
            f"{' and '.join(_TYPES)}. Choose another target with --target."
        )
    if not isinstance(answer.get("stage"), str):
        raise StagingError(f"macro _staging_target named no stage: {json.dumps(answer)}.")
    return Target(
        answer["type"],
        answer["stage"],
        tuple(answer.get("engines", (LITERT, TENSORFLOW))),
        answer["dbt"],
        answer["most_dimensions"],
        tuple(answer.get("warnings", ())),
    )
