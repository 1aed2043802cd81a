"""stage_model.py in a dbt project: called in this process, or run as a user runs it.

done = stage_model(project, "minilm", "--write")
assert done.returncode == 0, done.stderr
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from duckdb_projects import Project, close_database
from tf_embeddings_staging import cli
from tf_embeddings_staging.warehouse import dbt_process
from tf_embeddings_staging.warehouse.upload_progress import Upload

SCRIPT = "dbt_packages/tf_embeddings/scripts/stage_model.py"

Done = subprocess.CompletedProcess[str]


def stage_model(project: Project, *arguments: str | Path, **environment: str) -> Done:
    """Call the CLI in a project; see `call`."""
    return call(project.folder, *arguments, **environment)


def call(folder: Path, *arguments: str | Path, **environment: str) -> Done:
    """Call the CLI in this process, which runs dbt in it too: that saves seconds of imports.

    What kills, races, exit codes and secrets prove needs `run_script`.
    """
    return call_main(cli.main, SCRIPT, folder, *arguments, **environment)


def call_main(
    main: Callable[[Sequence[str]], int],
    script: str,
    folder: Path,
    *arguments: str | Path,
    **environment: str,
) -> Done:
    """Call a script's main function in a folder, as `call` does."""
    out, err = io.StringIO(), io.StringIO()
    with (
        as_script(script, folder, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main([str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def as_script(script: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Give this process a script's name, folder and environment, and its dbt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [script])
        patch.setattr(dbt_process, "_run_dbt", _run_dbt)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def run_script(project: Project, *arguments: str | Path, **environment: str) -> Done:
    """Run the script in a process of its own."""
    process = start(project, *arguments, **environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def start(project: Project, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start the script."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, *arguments],
        cwd=project.folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def staged_files(project: Project) -> list[Path]:
    return sorted(path for path in project.stage.rglob("*") if path.is_file())


def _run_dbt(dbt: Path, command: Sequence[str]) -> dbt_process.Heard:
    """Call the dbt of this process; it says the same on stdout."""
    heard, said = dbt_process.Heard(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            heard.success = dbtRunner().invoke([*command]).success
    finally:
        close_database()
    with Upload() as upload:
        for line in said.getvalue().splitlines(keepends=True):
            if logged := heard.hear(line):
                upload.hear(logged)
    return heard
