"""One process of a query: it loads a function's handler and answers batches of rows.

Messages are JSON, each after its length in four bytes: on standard input the function and then
batches, on standard output what came of them.

Started as a script, by the interpreter of the function's artifact repository, it forks such
processes. It imports the standard library and, of the functions' packages, those that take long; it
never loads a handler.

    python worker.py HIDDEN_MODULES

See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-designing
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.abc
import json
import linecache
import math
import os
import queue
import signal
import socket
import struct
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]

_TAKES_LONG = ("pandas", "ai_edge_litert.interpreter", "tokenizers", "tensorflow")
_CODE = "_udf_code.py"
_OWN = os.path.abspath(__file__)
_WRITES_BEFORE_THE_KILL = 2


def main() -> None:
    """Fork a worker for each request, until the server ends.

    The server's numbers, on standard input: 0 to fork, with the worker's files from 0 on, which
    answers its process id; or the id of one to wait for, which answers its exit code.
    """
    channel = socket.socket(fileno=0)
    sys.meta_path.insert(0, _NotInPackages(json.loads(sys.argv.pop())))
    for name in _TAKES_LONG:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)  # once for all workers
    sys.path.insert(0, os.path.dirname(_OWN))
    importlib.import_module("sandbox")
    sys.path.pop(0)
    gc.freeze()
    while True:
        message, files, *_ = socket.recv_fds(channel, 4, 4)
        if not message:
            return
        if pid := struct.unpack(">i", message)[0]:
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            answer = os.fork()
            if not answer:
                _take(files)
                _work()
                os._exit(0)
            for file in files:
                os.close(file)
        channel.send(struct.pack(">i", answer))


def _take(files: list[int]) -> None:
    """Make these the only open files, from 0 on; that closes the server's channel too."""
    for place, file in enumerate(files):
        os.dup2(file, place)
    os.closerange(len(files), max(files) + 1)


def _work() -> None:
    """Load the function, and answer until the input ends."""
    incoming, outgoing = _take_pipes()
    job = _read(incoming)
    if job is None:
        return
    try:
        place = sys.modules["sandbox"].enter(Path(job["tmp"]), Path(job["imports"]))
        messages = _read_in_a_thread(incoming)
        _arrange(job, place)
        handler = _load(job)
    except BaseException as error:
        _write(outgoing, {"error": _describe(error)})
        return
    is_vectorized = getattr(handler, "_sf_vectorized_input", None) is not None
    most = getattr(handler, "_sf_max_batch_size", None)
    _write(outgoing, {"is_vectorized": is_vectorized, "max_batch_size": most})
    while True:
        columns = messages.get()["columns"]
        try:
            results = (_frame if is_vectorized else _rows)(handler, job, columns)
            answer: Json = {"results": results}
        except BaseException as error:
            answer = {"error": _describe(error)}
        _write(outgoing, answer)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Reserve the two pipes; a handler's output is discarded."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return incoming, outgoing


def _read(incoming: IO[bytes]) -> Json | None:
    header = incoming.read(4)
    if len(header) < 4:
        return None
    return json.loads(incoming.read(struct.unpack(">I", header)[0]))


def _write(outgoing: IO[bytes], message: Json) -> None:
    content = json.dumps(message).encode()
    outgoing.write(struct.pack(">I", len(content)) + content)
    outgoing.flush()


def _read_in_a_thread(incoming: IO[bytes]) -> queue.SimpleQueue[Json]:
    """Return the messages as they arrive; the process dies with the server, even if it is busy."""
    messages: queue.SimpleQueue[Json] = queue.SimpleQueue()

    def read() -> None:
        while (message := _read(incoming)) is not None:
            messages.put(message)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return messages


def _arrange(job: Json, place: Path) -> None:
    """Set up a handler's surroundings: its imports and the module `_snowflake`.

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-examples
    """
    sys._xoptions["snowflake_import_directory"] = f"{place}/"
    zips = sorted(str(path) for path in place.iterdir() if path.suffix == ".zip")
    sys.path[:0] = [str(place), *zips]
    sys.modules["_snowflake"] = _snowflake_module()
    if job["kill_token"] is not None:
        _die_while_writing(job["kill_token"])


class _NotInPackages(importlib.abc.MetaPathFinder):
    """Hides installed packages that are not in the function's PACKAGES.

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-packages
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        self._hidden = frozenset(hidden)

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in self._hidden:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)


def _snowflake_module() -> types.ModuleType:
    """Return the module that marks a handler as vectorized.

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-batch
    """

    def vectorized(*, input: type, max_batch_size: int | None = None) -> Callable[[Any], Any]:
        def mark(handler: Any) -> Any:  # noqa: ANN401
            handler._sf_vectorized_input = input
            if max_batch_size is not None:
                handler._sf_max_batch_size = max_batch_size
            return handler

        return mark

    module = types.ModuleType("_snowflake")
    module.__dict__["vectorized"] = vectorized
    return module


def _die_while_writing(token: int) -> None:
    """Die by SIGKILL between the first and the second file in /tmp, once in a query."""
    begun: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            path, _, flags = arguments
            if path.endswith(".lock") or not path.startswith("/tmp/"):
                return
            if flags & (os.O_WRONLY | os.O_RDWR):
                begun.add(path)
            if len(begun) >= _WRITES_BEFORE_THE_KILL:
                _die_of(token)
        elif event == "os.rename" and begun:
            _die_of(token)

    sys.addaudithook(watch)


def _die_of(token: int) -> None:
    try:
        is_mine = os.read(token, 1)
    except BlockingIOError:
        return
    if is_mine:
        os.kill(os.getpid(), signal.SIGKILL)


def _load(job: Json) -> Callable[..., Any]:
    if job["body"] is None:
        module_name, _, path = job["handler"].rpartition(".")
        target: Any = importlib.import_module(module_name)
    else:
        module = types.ModuleType("_udf_code")
        module.__file__ = _CODE
        sys.modules["_udf_code"] = module
        linecache.cache[_CODE] = (len(job["body"]), None, job["body"].splitlines(True), _CODE)
        exec(compile(job["body"], _CODE, "exec"), module.__dict__)
        target, path = module, job["handler"]
    for name in path.split("."):
        target = getattr(target, name)
    if not callable(target):
        raise TypeError(f"the handler '{job['handler']}' is a {_type_name(target)}, no function")
    return target


def _frame(handler: Callable[..., Any], job: Json, columns: list[list[Any]]) -> list[Any]:
    """Call a vectorized handler with a frame whose columns are 0, 1, ….

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-batch
    """
    import pandas

    dtypes = {"varchar": "string", "number": "Int64", "float": "Float64", "boolean": "boolean"}
    if job["object_dtypes"]:
        del dtypes["varchar"], dtypes["boolean"]
    series: dict[int, Any] = {}
    for place, (kind, column) in enumerate(zip(job["parameters"], columns, strict=True)):
        values = [_argument(value, kind) for value in column]
        has_places = any(isinstance(value, Decimal) for value in values)
        dtype = "Float64" if has_places else dtypes.get(kind, "object")
        if has_places:
            values = [None if value is None else float(value) for value in values]
        series[place] = pandas.Series(values, dtype=dtype)
    frame = pandas.DataFrame(series)
    rows = len(frame)
    returned = handler(frame)
    if returned is None or isinstance(returned, (str, bytes, dict)):
        raise TypeError(
            f"a vectorized handler returns a Series, an array or a list, not "
            f"{type(returned).__name__}"
        )
    results = _listed(returned, job["returns"])
    if len(results) != rows:
        raise ValueError(
            f"The vectorized handler returned {len(results)} rows for a batch of {rows} rows; "
            f"the numbers must be equal"
        )
    return [None if value is pandas.NA else _result(value, job["returns"]) for value in results]


def _listed(returned: Any, kind: str) -> list[Any]:  # noqa: ANN401
    # `tolist` converts a Series' or array's numbers to Python's, but not inside objects.
    if kind not in {"object", "array", "variant"} and hasattr(returned, "tolist"):
        return list(returned.tolist())
    return list(returned)


def _rows(handler: Callable[..., Any], job: Json, columns: list[list[Any]]) -> list[Any]:
    if not job["parameters"]:
        return [_result(handler(), job["returns"]) for _ in columns[0]]
    kinds = job["parameters"]
    return [
        _result(
            handler(*(_argument(value, kind) for value, kind in zip(row, kinds, strict=True))),
            job["returns"],
        )
        for row in zip(*columns, strict=True)
    ]


def _argument(value: Any, kind: str) -> Any:  # noqa: ANN401
    if value is not None and kind in {"object", "array", "variant"}:
        return json.loads(value)
    return Decimal(value) if kind == "number" and isinstance(value, str) else value


def _result(value: Any, kind: str) -> Any:  # noqa: ANN401
    """Return a value as it is sent, if it has the function's type.

    See https://docs.snowflake.com/en/developer-guide/udf-stored-procedure-data-type-mapping
    """
    if value is None:
        return None
    if kind in {"object", "array", "variant"}:
        expected = {"object": dict, "array": list}.get(kind)
        if expected is not None and type(value) is not expected:
            raise TypeError(
                f"a handler that returns {kind.upper()} returns a {expected.__name__} or None, "
                f"not {_type_name(value)}"
            )
        _require_json(value)
        return json.dumps(value)
    accepted = _ACCEPTED[kind]
    # `item` converts NumPy's numbers to Python's.
    plain = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    if type(plain) not in accepted:
        raise TypeError(f"a handler that returns {kind.upper()} returned {_type_name(value)}")
    return float(plain) if kind == "float" else str(plain) if kind == "number" else plain


_ACCEPTED: dict[str, Sequence[type]] = {
    "varchar": (str,),
    "number": (int, Decimal),
    "float": (float, int),
    "boolean": (bool,),
}


def _require_json(value: Any) -> None:  # noqa: ANN401
    if type(value) is dict:
        for key, inner in value.items():
            if type(key) is not str:
                raise TypeError(f"keys must be str, not {_type_name(key)}")
            _require_json(inner)
    elif type(value) is list:
        for inner in value:
            _require_json(inner)
    elif type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"Out of range float values are not JSON compliant: {value}")
    elif type(value) not in {str, int, bool, type(None)}:
        raise TypeError(f"Object of type {_type_name(value)} is not JSON serializable")


def _type_name(value: Any) -> str:  # noqa: ANN401
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _describe(error: BaseException) -> str:
    """Return the traceback, starting in the handler's own code."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != _OWN and not frame.filename.startswith("<frozen importlib")
    ]
    lines = ["Traceback (most recent call last):\n"] if frames else []
    lines += traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip("\n")


if __name__ == "__main__":
    main()
