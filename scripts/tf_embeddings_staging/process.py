"""Running a task of `worker` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError

_SCRIPTS = Path(__file__).resolve().parent.parent
_TIMEOUT_SECONDS = 30 * 60


def run(
    task: str, request: Mapping[str, Any], work: Path, *, timeout: float = _TIMEOUT_SECONDS
) -> dict[str, Any]:
    """Run a task and return its answer; `work` is a folder for the files of the exchange.

    Raises:
        StagingError: the task says so, crashed, or did not end in `timeout` seconds.
    """
    asked, answered, told = (work / f"{task}.{name}" for name in ("request", "answer", "log"))
    asked.write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "tf_embeddings_staging.worker", task, asked, answered]
    with told.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment()
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise StagingError(
                f"{_WHAT[task]} did not end within {timeout:g} seconds, so it was stopped. "
                f"Does the model run on this machine?"
            ) from None
        finally:
            process.kill()
            process.communicate()
    if code or not answered.is_file():
        raise StagingError(f"{_WHAT[task]} {_ending(code)}{_last_words(told)}")
    answer = json.loads(answered.read_bytes())
    if "error" in answer:
        raise StagingError(answer["error"])
    return answer["result"]


_WHAT = {
    "convert": "the conversion into a SavedModel",
    "inspect": "the inspection of the SavedModel",
    "probe": "the probe, which embeds a few texts with the model,",
}


def python_environment() -> dict[str, str]:
    """Return the environment of a Python process that imports this package."""
    inherited = os.environ.get("PYTHONPATH")
    path = [str(_SCRIPTS), *([inherited] if inherited else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _environment() -> dict[str, str]:
    return {
        **python_environment(),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # whatever order a set has, it has it in every run
        "PYTHONIOENCODING": "utf-8",
        "CUDA_VISIBLE_DEVICES": "-1",  # golden vectors are a CPU's
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _ending(code: int) -> str:
    if code >= 0:
        return f"failed (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = "; was the memory enough?" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


def _last_words(log: Path) -> str:
    """Return the last line that the process wrote, as a rule the exception."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f": {lines[-1].strip()[:500]}" if lines else "."
