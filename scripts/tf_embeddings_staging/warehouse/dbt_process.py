"""Call a macro: dbt runs it in a separate process, with the user's own profile.

A macro answers in a log line, `tf_embeddings_answer {json}`. Before a statement that the warehouse
may refuse it logs `tf_embeddings_step {json}`: what it will do, and the next step if that fails.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.process import python_environment

_ANSWER = re.compile(r"tf_embeddings_(?:target|answer) (.*)", re.DOTALL)
_STEP = "tf_embeddings_step "
_OURS = "stage_model: "
_LOCKED = "Could not set lock on file"
_RETRIES = 3

# What dbt puts around an error's sentence.
_PREFIX = re.compile(r"Encountered an error[^:]*:\s*")
_HEADLINE = re.compile(r"([A-Z]\w+ Error( in \w+ \S+ \(.*\))?)?|> (in|called by) .*")
# What Snowflake puts before it: number, SQLSTATE, query id and kind of error.
_CODE = re.compile(r"\d+ \(\w+\): (?:[0-9a-f-]{32,}: )?(?:SQL [\w ]+ error:\s*)?")
_DENIED = re.compile(
    "insufficient privileges|not authorized|does not exist|failed to connect", re.IGNORECASE
)


@dataclass(frozen=True)
class DbtOptions:
    """dbt's own flags; None for those that the user did not give."""

    project_dir: str | None = None
    profiles_dir: str | None = None
    profile: str | None = None
    target: str | None = None
    vars: str | None = None

    def flags(self) -> list[str]:
        """Return the flags in dbt's form."""
        given = {
            "--project-dir": self.project_dir,
            "--profiles-dir": self.profiles_dir,
            "--profile": self.profile,
            "--target": self.target,
            "--vars": self.vars,
        }
        return [part for flag, value in given.items() if value for part in (flag, value)]


class MacroError(StagingError):
    """A macro failed.

    Attributes:
        optional: the name of the check that failed, if that check may be skipped.
    """

    def __init__(self, sentence: str, optional: str | None = None) -> None:
        """Say what failed."""
        super().__init__(sentence)
        self.optional = optional


def run_macro(
    options: DbtOptions, macro: str, arguments: Mapping[str, Any], *, log_file: bool = True
) -> dict[str, Any]:
    """Run a macro of the package, and return its answer.

    Args:
        options: dbt's own flags.
        macro: the macro's name.
        arguments: JSON values.
        log_file: whether dbt writes logs/dbt.log. The error of a broken upload has signed URLs,
            which must not get there.

    Raises:
        MacroError: dbt fails. One sentence; only our own macros may add lines to copy.
        StagingError: dbt is not installed, or the project lacks this package.
    """
    name = f"tf_embeddings.{macro}"
    given = json.dumps(arguments, ensure_ascii=False)
    command = ["run-operation", name, "--args", given, *options.flags()]
    if not log_file:
        command += ["--log-level-file", "none"]
    told = _run_dbt(command)
    for _ in range(_RETRIES):
        if not any(_LOCKED in error for error in told["errors"]):
            break
        time.sleep(1)  # another process has the database open, and run-operation opens it too
        told = _run_dbt(command)
    answers = [found[1] for line in told["logged"] if (found := _ANSWER.fullmatch(line))]
    if told["success"] and answers:
        return json.loads(answers[-1])
    if told["missing"]:
        raise missing_package(told["missing"])
    message = next(iter(told["errors"]), f"macro {name} returned nothing")
    if "could not find a macro" in message:
        raise StagingError(
            "the dbt package tf_embeddings is not installed in this project, or it is too old. Add "
            "it to packages.yml and run: dbt deps"
        )
    steps = [line.removeprefix(_STEP) for line in told["logged"] if line.startswith(_STEP)]
    raise _error(message, json.loads(steps[-1]) if steps else {})


def _run_dbt(command: list[str]) -> dict[str, Any]:
    """Run dbt in a separate process; see `ask_dbt`.

    It has the terminal, because it may ask the user to log in, but not stdout, which only gets the
    pin.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"
        module = "tf_embeddings_staging.warehouse.ask_dbt"
        ask = [sys.executable, "-P", "-m", module, str(file), *command]
        code = subprocess.run(ask, stdout=2, env=python_environment(), check=False).returncode
        if file.is_file():
            return json.loads(file.read_bytes())
    raise StagingError(
        f"dbt stopped without an answer (exit code {code}). Run `dbt debug` to find out why."
    )


def _error(message: str, step: Mapping[str, Any]) -> MacroError:
    """Return the error of a macro that failed in this step."""
    text = _PREFIX.sub("", message, count=1)
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if not _HEADLINE.fullmatch(line)]
    if said and said[0].startswith(_OURS):
        return MacroError("\n".join(said).removeprefix(_OURS))
    sentence = " ".join(said) or message.strip()
    if not step:
        return MacroError(f"dbt says: {sentence}")
    sentence = f"{step['doing']} failed: {_CODE.sub('', sentence, count=1)}"
    if step.get("next") and _DENIED.search(sentence):
        sentence = f"{sentence.rstrip('.')}. {step['next']}"
    return MacroError(sentence, step.get("optional"))
