"""Finding the stage: dbt, with the user's own profile, runs a macro that says where it is."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

_MACRO = "tf_embeddings._staging_target"
_LINE = "tf_embeddings_target "
_PROJECT_FILE = "dbt_project.yml"
_OURS = "stage_model: "
_ERRORS = ("RunningOperationCaughtError", "MainEncounteredError")

# What dbt puts around the sentence of an error.
_HEADLINE = re.compile(
    r"(Encountered an error[^:]*:)? *([A-Z]\w+ Error( in \w+ \S+ \(.*\))?)?|> (in|called by) .*"
)


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


@dataclass
class _Heard:
    """What dbt tells while it runs."""

    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: Any) -> None:  # noqa: ANN401 - a protobuf message
        if event.info.name == "JinjaLogInfo" and event.info.msg.startswith(_LINE):
            self.lines.append(event.info.msg.removeprefix(_LINE))
        elif event.info.name in _ERRORS:
            self.errors.append(event.info.msg)


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
    here = Path.cwd()  # dbt moves to the project's folder
    answer = _ask_dbt(["run-operation", _MACRO, *options.flags()])
    if answer.get("type") != "duckdb":
        raise StagingError(
            f"the dbt target is of type '{answer.get('type')}'; models can be staged for duckdb."
        )
    if not isinstance(answer.get("stage"), str):
        raise StagingError(f"the macro {_MACRO} named no stage: {json.dumps(answer)}.")
    return Target(type="duckdb", stage=here / Path(answer["stage"]).expanduser())


def _ask_dbt(command: Sequence[str]) -> Mapping[str, Any]:
    """Run dbt in silence and return what the macro logged."""
    from dbt.cli.main import dbtRunner

    heard = _Heard()
    # write-json would overwrite the run_results.json of the user's last run.
    silence = ("--quiet", "--no-print", "--log-level", "none", "--no-write-json")
    with warnings.catch_warnings(action="ignore"):  # of the adapters' connectors
        outcome = dbtRunner(callbacks=[heard]).invoke([*silence, *command])
    if outcome.success and heard.lines:
        return json.loads(heard.lines[-1])
    message = heard.errors[0] if heard.errors else str(outcome.exception or "it gave no answer")
    if "could not find a macro" in message:
        raise StagingError(
            "the dbt package tf_embeddings is not installed in this project, or is too old. Add "
            "it to packages.yml and run: dbt deps"
        )
    raise StagingError(_sentence(message))


def _sentence(message: str) -> str:
    """Return what an error of dbt says, without what dbt puts around it.

    An error of our own macro may show lines to copy; any other is put on one line.
    """
    lines = [line.strip() for line in message.splitlines()]
    said = [line for line in lines if not _HEADLINE.fullmatch(line)]
    if said and said[0].startswith(_OURS):
        return "\n".join(said).removeprefix(_OURS)
    return f"dbt says: {' '.join(said) or message.strip()}"
