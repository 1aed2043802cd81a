"""Running a task of `worker` in a process of its own, within limits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from tf_embeddings_staging.errors import CrashedError, StagingError, StoppedError
from tf_embeddings_staging.memory import machine_memory
from tf_embeddings_staging.options import Limits

_SCRIPTS = Path(__file__).resolve().parent.parent
_RUNTIME = _SCRIPTS.parent / "udf_src"
_SHARE_OF_MEMORY = 0.9
_POLL_SECONDS = 0.05
_FAMILY_SECONDS = 1  # to look for new children reads all processes of the machine
_MOST_LOG = 64 * 2**20  # bytes that a process may write
_MOST_SAID = 200_000  # bytes of them that are shown

_WHAT = {
    "check": "the check of the artifact's graphs",
    "check_golden": "the check of the artifact's vectors",
    "check_litert": "the check of the artifact's model",
    "compare_litert": "the comparison of LiteRT with TensorFlow",
    "convert": "the conversion into a SavedModel",
    "convert_litert": "the conversion to LiteRT",
    "convert_keras": "the conversion of the Keras file",
    "convert_static": "the conversion of the static encoder",
    "inspect": "the inspection of the SavedModel",
    "probe": "the probe, which embeds a few texts with the model,",
    "tf_hub": "the download by tensorflow_hub",
}

# What the converter computes of constants goes into the artifact, so it may not depend on the
# machine: these are instructions that every x86-64 has, and sums in one order. (Measured: with
# AVX2 and with AVX-512 a product of matrices had other last digits, and the artifact another
# build.) https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_OF_TASK: Mapping[str, Mapping[str, str]] = {
    "convert_litert": {
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
}


def run(
    task: str, request: Mapping[str, Any], work: Path, limits: Limits | None = None
) -> dict[str, Any]:
    """Run a task and return its answer.

    Args:
        task: a name of `worker.TASKS`, or a function as `module:function`.
        request: what the task is asked, ready for JSON.
        work: a folder for the files of the exchange.
        limits: the memory and the time that the process may take; the usual ones if none are given.

    Raises:
        StagingError: the task says so, or raised; `details` holds what it wrote.
        StoppedError: it went beyond a limit.
        CrashedError: it crashed.
    """
    what = _WHAT.get(task, f"the task '{task}'")
    stem = task.replace(":", ".")
    asked, answered, told = (work / f"{stem}.{name}" for name in ("request", "answer", "log"))
    answered.unlink(missing_ok=True)
    asked.write_text(json.dumps(request), encoding="utf-8")
    with told.open("wb") as log:
        process = _start(task, asked, answered, log)
        try:
            excess = _watch(process, told, limits or Limits())
        finally:
            _end(process)
    if excess:
        raise StoppedError(f"{what} {excess}", _said(told))
    if process.returncode or not answered.is_file():
        raise _ended(what, process.returncode, _said(told))
    answer = json.loads(answered.read_bytes())
    if "error" not in answer:
        return answer["result"]
    sentence = answer["error"]
    if "raised" in answer:
        sentence = f"{what} failed with {sentence} --debug shows all that it said."
    raise StagingError(sentence, "\n".join(filter(None, (answer["details"], _said(told)))))


def _start(task: str, asked: Path, answered: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # faulthandler: where in Python a crash happened goes to the log.
    command = [
        *(sys.executable, "-P", "-X", "faulthandler"),
        *("-m", "tf_embeddings_staging.worker", task, str(asked), str(answered)),
    ]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(task)
    )


def python_environment() -> dict[str, str]:
    """Return the environment of a Python process that imports this package and the runtime."""
    inherited = os.environ.get("PYTHONPATH")
    path = [str(_SCRIPTS), str(_RUNTIME), *([inherited] if inherited else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _environment(task: str) -> dict[str, str]:
    return {
        **python_environment(),
        **_OF_TASK.get(task, {}),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # whatever order a set has, it has it in every run
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUTF8": "1",  # Keras reads the words of a layer as the locale says
        "CUDA_VISIBLE_DEVICES": "-1",  # golden vectors are a CPU's
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _watch(process: subprocess.Popen[bytes], log: Path, limits: Limits) -> str | None:
    """Wait for the end of a process, or until it goes beyond a limit; return how, if it does."""
    most_memory = limits.memory_bytes or int(machine_memory() * _SHARE_OF_MEMORY)
    begun = looked = time.monotonic()
    family = _family(process.pid)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return None
        now = time.monotonic()
        if now > looked + _FAMILY_SECONDS:
            family, looked = _family(process.pid), now
        if (taken := _resident_memory(family)) > most_memory:
            return (
                f"took {taken / 2**30:.2f} GiB of memory, more than the limit of "
                f"{most_memory / 2**30:.2f} GiB, so it was stopped. Raise the limit with "
                f"--memory-limit GIB, or choose a smaller model."
            )
        if log.stat().st_size > _MOST_LOG:
            return (
                f"wrote more than {_MOST_LOG >> 20} MiB of messages, so it was stopped. Save the "
                f"model without ops that print, such as tf.print."
            )
        if now > begun + limits.seconds:
            return (
                f"did not end within {limits.seconds / 60:.3g} minutes, the limit, so it was "
                f"stopped. Raise the limit with --time-limit MINUTES if the model needs longer."
            )


def _resident_memory(family: Iterable[psutil.Process]) -> int:
    """Return the memory that processes hold, in bytes; 0 for those that ended."""
    total = 0
    for process in family:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and all that it started, as far as they live."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it lives, and what it started."""
    if process.poll() is None:
        for member in reversed(_family(process.pid)):
            with contextlib.suppress(psutil.Error):
                member.kill()
    process.communicate()


def _ended(what: str, code: int, said: str) -> StagingError:
    """Return the error of a process that ended without an answer."""
    if not code:
        return StagingError(f"{what} ended without an answer. --debug shows what it wrote.", said)
    if code > 0:
        sentence = f"{what} failed with exit code {code}. --debug shows what it wrote."
        return StagingError(sentence, said)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return StoppedError(
            f"{what} was ended by SIGKILL, as the system does where memory runs out. Free some "
            f"memory, or choose a smaller model.",
            said,
        )
    return CrashedError(
        f"{what} crashed ({name}). The model, or TensorFlow with it, does not run on this machine; "
        f"--debug shows what it wrote.",
        said,
    )


def _said(log: Path) -> str:
    """Return the end of what a process wrote."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _MOST_SAID))
        return file.read().decode(errors="replace").strip()
