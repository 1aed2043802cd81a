"""Staging's worker processes, forked from one that has imported what they need.

For a small model the imports of TensorFlow, or of LiteRT, are most of what its staging takes, and a
staging starts three to five workers. Each task still has a process of its own: its environment, its
streams, its limits, its end. The tests that run the script, `make demo` or another machine's build
start workers as users do.

    python warm_worker.py SOCKET MODULE ...
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import pytest
from tf_embeddings_staging import process

# What needs TensorFlow in any case. Keras is told its backend before its import, so
# `convert_keras` is not one of them.
_TASKS = (
    *("check", "compare_litert", "convert", "convert_litert", "convert_static"),
    *("inspect", "tf_hub"),
)
# What runs the model on the engine of its artifact.
_OF_ENGINE = ("check_golden", "probe")
_TENSORFLOW = ("tensorflow",)
_LITERT = ("ai_edge_litert.interpreter", "tokenizers", "psutil")
_MOST_BYTES = 2**18


class Forked:
    """A forked worker, as far as `process.run` uses a `Popen`."""

    def __init__(self, server: socket.socket, lifeline: int) -> None:
        self.returncode: int | None = None
        self.pid = int(server.recv(_MOST_BYTES))
        self._server, self._lifeline = server, lifeline

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.returncode = int(self._server.recv(_MOST_BYTES))
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            select.select([self._server], [], [], timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return self.returncode or 0

    def communicate(self) -> None:
        os.close(self._lifeline)
        self.wait()


@contextmanager
def warm_workers() -> Iterator[None]:
    """Fork the workers that run TensorFlow; on Linux, where TensorFlow bears it."""
    if sys.platform != "linux":
        yield
        return
    servers: dict[tuple[str, ...], socket.socket] = {}
    cold = process._start

    def start(task: str, asked: Path, answered: Path, log: IO[bytes]) -> Any:  # noqa: ANN401
        modules = () if "PYTHONPATH" in os.environ else _imports(task, asked)
        if not modules:
            return cold(task, asked, answered, log)
        kind = (*modules, task if task in process._OF_TASK else "")
        if kind not in servers:
            servers[kind] = stack.enter_context(_server(task, modules))
        request = {
            "task": task,
            "asked": str(asked.absolute()),
            "answered": str(answered.absolute()),
            "environment": process._environment(task),
            "folder": str(Path.cwd()),
        }
        reads, lifeline = os.pipe()
        files = [reads, log.fileno()]
        socket.send_fds(servers[kind], [json.dumps(request).encode()], files)
        os.close(reads)
        return Forked(servers[kind], lifeline)

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_start", start)
        yield


def _imports(task: str, asked: Path) -> tuple[str, ...]:
    """Return what a task imports that takes long, or nothing if that is not known."""
    if task in _TASKS:
        return _TENSORFLOW
    if task not in _OF_ENGINE:
        return ()
    manifest = Path(json.loads(asked.read_bytes())["folder"], "manifest.json")
    engine = json.loads(manifest.read_bytes()).get("engine")
    return {"litert": _LITERT, "tensorflow": _TENSORFLOW}.get(engine, ())


@contextmanager
def _server(task: str, modules: Sequence[str]) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-P", "-X", "faulthandler", __file__]
        command += [str(theirs.fileno()), *modules]
        environment = process._environment(task)
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        yield ours
    server.wait()


def _serve(channel: socket.socket) -> None:
    """Fork a worker for each request; answer with its process id, and then with its exit code."""
    while True:
        message, files, *_ = socket.recv_fds(channel, _MOST_BYTES, 2)
        if not message:
            return
        pid = os.fork()
        if not pid:
            channel.close()
            os._exit(_work(json.loads(message), files))
        for file in files:
            os.close(file)
        channel.send(str(pid).encode())
        channel.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _work(request: Mapping[str, Any], files: list[int]) -> int:
    """Do a task in a process that was just forked; return its exit code."""
    from tf_embeddings_staging import worker

    for file, stream in zip([*files, files[1]], (0, 1, 2), strict=True):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # it remembers where TMPDIR was
    os.chdir(request["folder"])
    try:
        worker.main(request["task"], Path(request["asked"]), Path(request["answered"]))
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    for module in sys.argv[2:]:
        import_module(module)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        _serve(channel)
    os._exit(0)  # TensorFlow takes a second to leave
