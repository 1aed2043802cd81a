"""Tasks for staging's worker process that go wrong, each in its own way; see test_staging_process.

Each is called in the worker: `module:function` names it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError


def add(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"sum": request["a"] + request["b"]}


def hang(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the process's id to a file, if one is asked for, and wait until killed."""
    if "pid" in request:
        _tell(Path(request["pid"]), os.getpid())
    threading.Event().wait()
    return {}


def eat(request: Mapping[str, Any]) -> dict[str, Any]:
    """Take so many bytes of memory and hold them."""
    held = b"x" * request["bytes"]
    threading.Event().wait()
    return {"held": len(held)}


def eat_in_a_child(request: Mapping[str, Any]) -> dict[str, Any]:
    """Have a child take the memory; its id goes to a file."""
    code = f"import threading; held = b'x' * {request['bytes']}; threading.Event().wait()"
    child = subprocess.Popen([sys.executable, "-c", code])
    _tell(Path(request["pid"]), child.pid)
    child.wait()
    return {}


def print_for_ever(_: Mapping[str, Any]) -> dict[str, Any]:
    while True:
        os.write(1, b"the same again\n" * 70_000)


def import_text(_: Mapping[str, Any]) -> dict[str, Any]:
    """Import TensorFlow Text where it is not installed."""
    raise ModuleNotFoundError(name="tensorflow_text")


def segfault(_: Mapping[str, Any]) -> dict[str, Any]:
    ctypes.string_at(0)
    return {}


def leave(request: Mapping[str, Any]) -> dict[str, Any]:
    print("the last words")
    sys.stdout.flush()
    os._exit(request["code"])


def chatter(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write to both streams, from Python and past it, as TensorFlow's C++ does."""
    print("printed")
    print("printed to stderr", file=sys.stderr)
    os.write(1, b"written past Python\n")
    os.write(2, b"W0000 00:00:00 cpu_feature_guard.cc:182] chatter\n")
    if request.get("fails"):
        raise StagingError("the task says no.", "because it says so")
    return {"done": True}


def import_missing(_: Mapping[str, Any]) -> dict[str, Any]:
    import no_such_package  # pyright: ignore[reportMissingImports]  # noqa: F401

    return {}


def tensorflow_error(_: Mapping[str, Any]) -> dict[str, Any]:
    """Reshape what cannot be, inside a graph: the message is five lines."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None])])
    def reshaped(values: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        return tf.reshape(values, [-1, 3])

    reshaped(tf.ones([1]))
    return {}


def _tell(path: Path, pid: int) -> None:
    """Write a process's id; the file is there when it is whole."""
    part = path.with_suffix(".part")
    part.write_text(str(pid))
    os.replace(part, path)
