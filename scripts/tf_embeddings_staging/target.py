"""Finding the stage: dbt, with the user's own profile, runs a macro that says where it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.process import python_environment

_MACRO = "tf_embeddings._staging_target"
_LINE = "tf_embeddings_target "
_PROJECT_FILE = "dbt_project.yml"
_OURS = "stage_model: "
_LOCKED = "Could not set lock on file"
_RETRIES = 3

# What dbt puts around the sentence of an error.
_PREFIX = re.compile(r"Encountered an error[^:]*:\s*")
_HEADLINE = re.compile(r"([A-Z]\w+ Error( in \w+ \S+ \(.*\))?)?|> (in|called by) .*")


@dataclass(frozen=True)
class DbtOptions:
    """dbt's own flags, as the user gave them; None where not."""

    project_dir: str | None = None
    profiles_dir: str | None = None
    profile: str | None = None
    target: str | None = None
    vars: str | None = None

    def flags(self) -> list[str]:
        """Return the flags as dbt takes them."""
        given = {
            "--project-dir": self.project_dir,
            "--profiles-dir": self.profiles_dir,
            "--profile": self.profile,
            "--target": self.target,
            "--vars": self.vars,
        }
        return [part for flag, value in given.items() if value for part in (flag, value)]


@dataclass(frozen=True)
class Target:
    """Where a dbt target keeps its artefacts."""

    type: str
    stage: Path


def project_folder(given: str | None) -> Path:
    """Return the folder of the dbt project as dbt finds it: upwards from here, if none is given.

    Raises:
        StagingError: there is no dbt_project.yml.
    """
    chosen = given or os.environ.get("DBT_PROJECT_DIR")
    start = Path(chosen or ".").absolute()
    for folder in [start] if chosen else [start, *start.parents]:
        if (folder / _PROJECT_FILE).is_file():
            return folder
    raise StagingError(
        f"there is no {_PROJECT_FILE} in '{start}'{'' if chosen else ' or above it'}. Run this in "
        f"a dbt project, or name one with --project-dir."
    )


def find_target(options: DbtOptions) -> Target:
    """Ask the macro.

    A relative stage starts from the current folder, as the plugin's does, and dbt-duckdb's own
    paths: this runs where dbt runs.

    Raises:
        StagingError: dbt fails, or the target is of a warehouse that is not supported.
    """
    answer = _ask_dbt(["run-operation", _MACRO, *options.flags()])
    if answer.get("type") != "duckdb":
        raise StagingError(
            f"the dbt target is of type '{answer.get('type')}'; models can be staged for duckdb."
        )
    if not isinstance(answer.get("stage"), str):
        raise StagingError(f"the macro {_MACRO} named no stage: {json.dumps(answer)}.")
    return Target(type="duckdb", stage=Path.cwd() / Path(answer["stage"]).expanduser())


def _ask_dbt(command: Sequence[str]) -> Mapping[str, Any]:
    """Return what the macro logged."""
    answer = _run_dbt(command)
    for _ in range(_RETRIES):
        if not any(_LOCKED in error for error in answer["errors"]):
            break
        time.sleep(1)  # another process has the database open, and run-operation opens it too
        answer = _run_dbt(command)
    lines = [line for line in answer["logged"] if line.startswith(_LINE)]
    if answer["success"] and lines:
        return json.loads(lines[-1].removeprefix(_LINE))
    if answer["missing"]:
        raise missing_package(answer["missing"])
    message = next(iter(answer["errors"]), f"the macro {_MACRO} gave no answer")
    if "could not find a macro" in message:
        raise StagingError(
            "the dbt package tf_embeddings is not installed in this project, or is too old. Add "
            "it to packages.yml and run: dbt deps"
        )
    raise StagingError(_sentence(message))


def _run_dbt(command: Sequence[str]) -> Mapping[str, Any]:
    """Run dbt in a process of its own; see `ask_dbt`.

    It may ask the user to log in, so it has the terminal, but not stdout, which is the pin's.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"
        ask = [sys.executable, "-P", "-m", "tf_embeddings_staging.ask_dbt", str(file), *command]
        code = subprocess.run(ask, stdout=2, env=python_environment(), check=False).returncode
        if file.is_file():
            return json.loads(file.read_bytes())
    raise StagingError(f"dbt ended without an answer (exit code {code}).")


def _sentence(message: str) -> str:
    """Return what an error of dbt says, without what dbt puts around it.

    An error of our own macro may show lines to copy; any other is put on one line.
    """
    lines = [line.strip() for line in _PREFIX.sub("", message, count=1).splitlines()]
    said = [line for line in lines if not _HEADLINE.fullmatch(line)]
    if said and said[0].startswith(_OURS):
        return "\n".join(said).removeprefix(_OURS)
    return f"dbt says: {' '.join(said) or message.strip()}"
