"""Call a macro: the user's own dbt runs it, with the user's own profile.

It is the command `dbt`, of version 1.x or 2: it need not be a package of this Python. It writes its
log to stdout, a line of JSON for each event. A process of its own also because dbt-duckdb keeps the
database open and locked while its process lives, and building a model may take minutes.

A macro answers in a log line, `tf_embeddings_answer {json}`. Before a statement that the warehouse
may refuse it logs `tf_embeddings_step {json}`: what it will do, and the next step if that fails.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.redaction import without_secrets
from tf_embeddings_staging.warehouse.dbt_errors import error
from tf_embeddings_staging.warehouse.upload_progress import Upload

_ANSWER = re.compile(r"tf_embeddings_(?:target|answer) (.*)", re.DOTALL)
_STEP = "tf_embeddings_step "
_LOCKED = "Could not set lock on file"
_RETRIES = 3

# Without --no-write-json, dbt overwrites the run_results.json of the user's last run.
_FLAGS = ("--log-format", "json", "--log-level", "info", "--no-quiet", "--no-use-colors")
_FLAGS += ("--no-write-json",)


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


@dataclass
class Heard:
    """What a call of dbt said.

    Attributes:
        success: whether it succeeded.
        is_dbt: whether a line was an event of dbt's.
        logged: the lines that macros logged.
        errors: its errors, without secrets.
    """

    success: bool = False
    is_dbt: bool = False
    logged: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def hear(self, line: str) -> str | None:
        """Handle a line of stdout, or its beginning; return what a macro logged, if it did.

        What is not an event comes from a driver, such as the address of a login: it is shown.
        """
        shown, brace, event = line.partition('{"')
        try:
            info = json.loads(brace + event)["info"]
            name, level, message = info["name"], info["level"], info["msg"]
        except (ValueError, TypeError, KeyError):
            _show(line)
            return None
        self.is_dbt = True
        _show(shown)
        if name == "JinjaLogInfo":
            self.logged.append(message)
            return message
        if level == "error":
            self.errors.append(without_secrets(message))
        return None


def run_macro(
    options: DbtOptions, macro: str, arguments: Mapping[str, Any], *, log_file: bool = True
) -> dict[str, Any]:
    """Run a macro of the package, and return its answer; see `run_macro_for_answers`."""
    return run_macro_for_answers(options, macro, arguments, log_file=log_file)[-1]


def run_macro_for_answers(
    options: DbtOptions, macro: str, arguments: Mapping[str, Any], *, log_file: bool = True
) -> list[dict[str, Any]]:
    """Run a macro of the package, and return its answers: at least one.

    Args:
        options: dbt's own flags.
        macro: the macro's name.
        arguments: JSON values.
        log_file: whether dbt may write logs/dbt.log, which it does if DBT_LOG_LEVEL_FILE is set.
            Errors of a profile have its values, those of an upload have signed URLs.

    Raises:
        StagingError: the macro fails: one sentence, and only our own macros may add lines to copy.
            Or there is no dbt, or it does not fit the project, which may lack this package.
    """
    name = f"tf_embeddings.{macro}"
    given = json.dumps(arguments, ensure_ascii=False)
    dbt = find_dbt()
    heard = _heard(dbt, ["run-operation", name, "--args", given, *options.flags()], log_file)
    answers = [found[1] for line in heard.logged if (found := _ANSWER.fullmatch(line))]
    if heard.success and answers:
        return [json.loads(answer) for answer in answers]
    message = next(iter(heard.errors), f"macro {name} returned nothing")
    steps = [line.removeprefix(_STEP) for line in heard.logged if line.startswith(_STEP)]
    raise error(dbt, message, json.loads(steps[-1]) if steps else {})


def run_dbt(command: Sequence[str]) -> None:
    """Call dbt with flags of its own form; it writes no log.

    Raises:
        StagingError: it fails, or there is no dbt.
    """
    dbt = find_dbt()
    heard = _heard(dbt, command, log_file=False)
    if not heard.success:
        # Others only say which node failed.
        longest = max(heard.errors, key=len, default=f"{command[0]} failed")
        raise error(dbt, longest, {})


def _heard(dbt: Path, command: Sequence[str], log_file: bool) -> Heard:
    """Call dbt, and again while another process has DuckDB's database open."""
    is_logged = log_file and "DBT_LOG_LEVEL_FILE" in os.environ
    with contextlib.nullcontext(()) if is_logged else _no_log_file() as flags:
        heard = _run_dbt(dbt, [*command, *_FLAGS, *flags])
        for _ in range(_RETRIES):
            if not any(_LOCKED in error for error in heard.errors):
                break
            time.sleep(1)  # run-operation opens it too
            heard = _run_dbt(dbt, [*command, *_FLAGS, *flags])
    return heard


def find_dbt() -> Path:
    """Return the user's dbt: the one of this Python's environment, or else the one on PATH.

    Raises:
        StagingError: there is none.
    """
    here = sysconfig.get_path("scripts")
    found = shutil.which("dbt", path=here) or shutil.which("dbt")
    if found:
        return Path(found)
    raise StagingError(
        f"there is no dbt in '{here}' or on PATH, and this script works through your own dbt. "
        f"Activate its environment, or install one: dbt Core 1.11 or later with the adapter of "
        f"your warehouse, or dbt v2."
    )


def _run_dbt(dbt: Path, command: Sequence[str]) -> Heard:
    """Call dbt, and show its upload.

    It has the terminal, because it may ask the user to log in, but not stdout, which only gets the
    pin.
    """
    heard = Heard()
    # The adapters' connectors warn, and print the address of a login.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([str(dbt), *command], stdout=subprocess.PIPE, env=environment)
    with process, Upload() as upload:
        try:
            for line in _lines(cast("io.BufferedReader", process.stdout)):
                if logged := heard.hear(line):
                    upload.hear(logged)
        except BaseException:
            process.kill()
            raise
    heard.success = process.returncode == 0
    if not (heard.success or heard.errors):
        raise StagingError(
            f"'{dbt}' stopped without an answer (exit code {process.returncode}). Run `dbt debug` "
            f"to find out why."
        )
    if not heard.is_dbt:
        raise StagingError(
            f"'{dbt}' is neither dbt Core nor dbt v2 (dbt's Cloud CLI is called dbt too). Put dbt "
            f"Core 1.11 or later, or dbt v2, first on PATH, or activate its environment."
        )
    return heard


def _lines(stdout: io.BufferedReader) -> Iterator[str]:
    """Yield each line, and the beginning of one at once if it is not an event: a question."""
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
    begun: list[str] = []  # the parts of a line; to join them at each chunk would be quadratic
    while chunk := stdout.read1():
        first, *others = decoder.decode(chunk).split("\n")
        begun += [first] if first else []
        for part in others:
            yield "".join([*begun, "\n"])
            begun = [part] if part else []
        if begun and not begun[0].startswith("{"):
            yield "".join(begun)
            begun = []
    yield "".join([*begun, decoder.decode(b"", final=True)])


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextlib.contextmanager
def _no_log_file() -> Iterator[Sequence[str]]:
    """Give the flags with which dbt writes no log: the levels' names depend on its version."""
    with tempfile.TemporaryDirectory(prefix="tf_embeddings_") as folder:
        with contextlib.suppress(OSError):  # Windows may have no links: then the folder is private
            (Path(folder) / "dbt.log").symlink_to(os.devnull)
        yield ("--log-path", folder)
