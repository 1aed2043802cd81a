"""Running functions: for each query, worker processes and one /tmp that they share.

The first rows of a query start the workers; the end of the query, good or bad, ends them and
removes what they wrote. Rows go to the workers in batches of different sizes.

See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-designing
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snowflake.connector.errors import ProgrammingError

from local_snowflake.errors import compilation_error
from local_snowflake.rows import Rows
from local_snowflake.statements import Reader, first_words, unescaped

if TYPE_CHECKING:
    from local_snowflake.functions import Function
    from local_snowflake.session import Session

WORKER = Path(__file__).with_name("worker.py")
# A function sees nothing of the server's environment, and has no home folder.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/home/udf", "TMPDIR": "/tmp"}
DEFAULT_MOST_ROWS = 1024
SECONDS_TO_LOAD = 180.0

Json = dict[str, Any]


def worker_count() -> int:
    """Return the number of processes of a function in a query."""
    return max(2, int(os.environ.get("LOCAL_SNOWFLAKE_WORKERS", "2")))


def seconds_for_a_batch() -> float:
    """Return the time limit; only tests of the limit change it.

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-batch
    """
    return float(os.environ.get("LOCAL_SNOWFLAKE_BATCH_SECONDS", "180"))


def batch_sizes(most: int) -> Iterator[int]:
    """Yield varying batch sizes up to `most`, because a handler must not rely on a size."""
    return itertools.cycle([1, min(3, most), most, most // 2 + 1])


class WorkerDiedError(Exception):
    """A worker died without an answer."""


@dataclass
class Query:
    """The workers of one statement."""

    session: Session
    error: ProgrammingError | None = None
    _folder: Path | None = None
    _pools: dict[Function, Pool] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, function: Function, columns: Sequence[list[Any]]) -> list[Any]:
        """Return a function's results for rows, which are given as columns."""
        with self._lock:
            if self.error is not None:
                raise self.error
            if function not in self._pools:
                self._pools[function] = Pool(self.session, function, self._new_folder(function))
        return self._pools[function].call(columns)

    def cancel(self, error: ProgrammingError) -> None:
        """Kill the workers, from a different thread than the one that waits for them."""
        self.error = self.error or error
        for pool in list(self._pools.values()):
            pool.kill()

    def close(self) -> None:
        """End the workers, and remove /tmp and the imports."""
        for pool in self._pools.values():
            pool.close()
        if self._folder is not None:
            _make_writable(self._folder)
            shutil.rmtree(self._folder)

    def _new_folder(self, function: Function) -> _Folders:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="local_snowflake_query_"))
            (self._folder / "tmp").mkdir()
        imports = Path(tempfile.mkdtemp(prefix="imports_", dir=self._folder))
        folders = _Folders(self._folder / "tmp", imports, self._folder / "errors.txt")
        copy_imports(self.session, function, imports)
        return folders


@dataclass(frozen=True)
class _Folders:
    tmp: Path
    imports: Path
    errors: Path


def _make_writable(folder: Path) -> None:
    """Make folders writable first: the imports are read-only, and a handler may do the same."""
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o700)


@contextmanager
def running(session: Session) -> Iterator[None]:
    """Give a statement its workers; if a function failed, raise its error."""
    functions = session.account.functions
    if functions.query is not None:  # a nested statement
        yield
        return
    functions.query = query = Query(session)
    try:
        yield
    except Exception:
        if query.error is not None:
            raise query.error from None
        raise
    finally:
        functions.query = None
        query.close()


def copy_imports(session: Session, function: Function, folder: Path) -> None:
    """Copy a function's imports from their stages, as they are now, to a read-only folder.

    See https://docs.snowflake.com/en/developer-guide/udf/python/udf-python-creating
    """
    for location in function.imports:
        staged = session.account.stages.find(location)
        if staged is None:
            raise missing_import(location.text)
        shutil.copyfile(staged, folder / staged.name)
        os.chmod(folder / staged.name, 0o444)
    os.chmod(folder, 0o555)


def missing_import(location: str, prefix: str = "") -> ProgrammingError:
    """Return the error for an import that is not on its stage."""
    return ProgrammingError(
        msg=f"{prefix}Remote file '{location}' was not found. There are several potential causes. "
        f"The file might not exist. The required credentials may be missing or invalid.",
        errno=100112,
        sqlstate="22000",
    )


class Pool:
    """The workers of one function in one query."""

    def __init__(self, session: Session, function: Function, folders: _Folders) -> None:
        self._function = function
        self._account = session.account
        self._folders = folders
        self._parent = session.account.functions.parents.of(session, function)
        self._seconds = seconds_for_a_batch()
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._token: tuple[int, int] | None = None
        if session.account.faults.strikes("worker_killed_during_extraction"):
            self._token = _one_token()
        self.workers = [self._start() for _ in range(worker_count())]
        self._threads = ThreadPoolExecutor(len(self.workers))
        try:
            ready = [self._loaded(worker) for worker in self.workers]
        except BaseException:
            self.close()
            raise
        self._most = ready[0]["max_batch_size"] or DEFAULT_MOST_ROWS
        self._sizes = batch_sizes(self._most)

    def call(self, columns: Sequence[list[Any]]) -> list[Any]:
        """Return the results for rows, in the same order."""
        self._account.note_rows(self._function.name, len(columns[0]))
        batches = [
            [column[start:end] for column in columns] for start, end in self._cut(len(columns[0]))
        ]
        return list(itertools.chain.from_iterable(self._threads.map(self._run, batches)))

    def kill(self) -> None:
        """Kill the workers."""
        self._is_closed = True
        for worker in list(self.workers):
            worker.kill()

    def close(self) -> None:
        """End the workers."""
        self.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self.workers:
            worker.close()
        if self._token is not None:
            for descriptor in self._token:
                os.close(descriptor)
            self._token = None

    def _cut(self, rows: int) -> Iterator[tuple[int, int]]:
        start = 0
        while start < rows:
            with self._lock:
                end = min(start + next(self._sizes), rows)
            yield start, end
            start = end

    def _run(self, batch: list[list[Any]]) -> list[Any]:
        worker = self._idle.get()
        try:
            return self._answer(worker, batch)
        except WorkerDiedError:
            worker = self._replace(worker)
            return self._answer(worker, batch)
        finally:
            self._idle.put(worker)

    def _answer(self, worker: Worker, batch: list[list[Any]]) -> list[Any]:
        worker.send({"columns": batch})
        return self._receive(worker, self._seconds)["results"]

    def _receive(self, worker: Worker, seconds: float) -> Json:
        try:
            answer = worker.receive(seconds)
        except TimeoutError:
            worker.kill()
            raise self._error(
                f"Execution of a batch timed out after {seconds:g}s vs. max of {seconds:g}s"
            ) from None
        if "error" in answer:
            raise self._error(f"Python Interpreter Error:\n{answer['error']}")
        return answer

    def _replace(self, dead: Worker) -> Worker:
        """Return a new worker if a fault killed the old one; otherwise fail the query.

        Whether Snowflake itself goes on without a worker is not documented.
        """
        code = dead.wait()
        if self._is_closed or self._token is None or code != -signal.SIGKILL:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            said = self._folders.errors.read_text(errors="replace")[-2000:].strip()
            raise self._error(
                f"Function available memory exhausted. Consider using Snowpark-optimized "
                f"Warehouses. (A worker ended with {how}. {said})"
            )
        self._account.counters["workers_killed"] += 1
        worker = self._start()
        self.workers.append(worker)
        self._receive(worker, SECONDS_TO_LOAD)
        return worker

    def _start(self) -> Worker:
        folders = self._folders
        job = _job(self._function, folders.tmp, folders.imports)
        job["object_dtypes"] = self._account.faults.is_set("object_dtypes")
        return Worker(self._parent, folders.errors, job, self._token and self._token[0])

    def _loaded(self, worker: Worker) -> Json:
        try:
            answer = self._receive(worker, SECONDS_TO_LOAD)
        except WorkerDiedError:
            worker = self._replace(worker)
            return self._loaded(worker)
        self._idle.put(worker)
        return answer

    def _error(self, message: str) -> ProgrammingError:
        return handler_error(self._function, message)


def _one_token() -> tuple[int, int]:
    """Return a pipe with one byte: the worker that reads it kills itself."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"x")
    return read_end, write_end


@dataclass
class Checks:
    """Loads the handlers of new functions: what cannot be loaded cannot be created.

    What was good is not checked again.

    See https://docs.snowflake.com/en/sql-reference/sql/create-function
    """

    _good: set[tuple[object, ...]] = field(default_factory=set)

    def check(self, session: Session, function: Function) -> None:
        """Raise the error that the function's first call would meet while it loads the handler."""
        parent = session.account.functions.parents.of(session, function)
        stages = session.account.stages
        files = [(place.path, stages.md5(place)) for place in function.imports]
        key = (parent.python, parent.hidden_modules, function.body, function.handler, *files)
        if key in self._good:
            return
        session.account.counters["handlers_checked"] += 1
        with tempfile.TemporaryDirectory(prefix="local_snowflake_check_") as name:
            tmp, imports = Path(name, "tmp"), Path(name, "imports")
            tmp.mkdir()
            imports.mkdir()
            for place in function.imports:
                if staged := stages.find(place):
                    _link(staged, imports / staged.name)
            answer = self._answer(Worker(parent, Path(os.devnull), _job(function, tmp, imports)))
        if "error" in answer:
            raise handler_error(function, f"Python Interpreter Error:\n{answer['error']}")
        self._good.add(key)

    def _answer(self, worker: Worker) -> Json:
        try:
            return worker.receive(SECONDS_TO_LOAD)
        except WorkerDiedError:
            code = worker.wait()
            return {"error": f"The process that loaded the handler ended with {code}."}
        except TimeoutError:
            return {"error": f"Loading the handler timed out after {SECONDS_TO_LOAD:g}s"}
        finally:
            worker.kill()
            worker.close()


def _link(file: Path, link: Path) -> None:
    try:
        os.link(file, link)
    except OSError:  # another file system
        shutil.copyfile(file, link)


def _job(function: Function, tmp: Path, imports: Path) -> Json:
    """Return what a worker is told of its function."""
    return {
        "tmp": str(tmp),
        "imports": str(imports),
        "body": function.body,
        "handler": function.handler,
        "parameters": [kind.kind for kind in function.parameter_types],
        "returns": function.returns.kind,
        "object_dtypes": False,
    }


def handler_error(function: Function, message: str) -> ProgrammingError:
    """Return the error of a handler: 100357, as Snowflake numbers it."""
    where = f" in function {function.name[2]} with handler {function.handler}"
    return ProgrammingError(msg=f"{message}\n{where}", errno=100357, sqlstate="P0000")


class Parent:
    """A process that forks the workers of functions with the same packages; see worker.py."""

    def __init__(self, python: Path, hidden_modules: tuple[str, ...]) -> None:
        self.python, self.hidden_modules = python, hidden_modules
        self.lock = threading.Lock()
        self._channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [python, "-I", "-B", WORKER, json.dumps(hidden_modules)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
            )

    def ask(self, number: int, files: Sequence[int] = ()) -> int:
        """Send a number and files, and return the answer; only while the lock is held."""
        socket.send_fds(self._channel, [struct.pack(">i", number)], files)
        return struct.unpack(">i", self._channel.recv(4))[0]


@dataclass
class Parents:
    """The processes that fork workers: each starts when a first function needs it."""

    _running: dict[tuple[Path, tuple[str, ...]], Parent] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, session: Session, function: Function) -> Parent:
        """Return the one for a function's packages."""
        environment = session.account.packages.environment(function.repository)
        key = (environment.python, tuple(environment.hidden_modules(function.packages)))
        with self._lock:
            if key not in self._running or self._running[key].process.poll() is not None:
                self._running[key] = Parent(*key)
            return self._running[key]


class Worker:
    """One process, forked from one without a handler: a model in a parent hangs its children."""

    def __init__(self, parent: Parent, errors: Path, job: Json, token: int | None = None) -> None:
        self._parent = parent
        self._code: int | None = None
        (reads, ours), (self._output, writes) = os.pipe(), os.pipe()
        self._input = os.fdopen(ours, "wb")
        files = [reads, writes] if token is None else [reads, writes, token]
        with errors.open("ab") as stderr, parent.lock:
            files.insert(2, stderr.fileno())
            self._pid = parent.ask(0, files)
        os.close(reads)
        os.close(writes)
        self.send({**job, "kill_token": None if token is None else 3})

    def send(self, message: Json) -> None:
        """Send a message, or raise WorkerDiedError."""
        content = json.dumps(message, default=str).encode()  # a Decimal
        try:
            self._input.write(struct.pack(">I", len(content)) + content)
            self._input.flush()
        except (BrokenPipeError, ValueError):
            raise WorkerDiedError from None

    def receive(self, seconds: float) -> Json:
        """Return the next message, or raise WorkerDiedError or TimeoutError."""
        deadline = time.monotonic() + seconds
        length = struct.unpack(">I", self._read(4, deadline))[0]
        return json.loads(self._read(length, deadline))

    def _read(self, length: int, deadline: float) -> bytes:
        content = bytearray()
        while len(content) < length:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._output], [], [], left)[0]:
                raise TimeoutError
            if not (part := os.read(self._output, min(length - len(content), 1 << 20))):
                raise WorkerDiedError
            content += part
        return bytes(content)

    def kill(self) -> None:
        """Kill the process."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> int:
        """Wait for the process to end; return its exit code."""
        with self._parent.lock:
            if self._code is None:
                self._code = self._parent.ask(self._pid)
            return self._code

    def close(self) -> None:
        """Close the pipes when no thread reads them any more."""
        with suppress(BrokenPipeError):
            self._input.close()
        os.close(self._output)


# The only supported scripting block: it selects a value and returns it, or the error's text.
_BLOCK = re.compile(
    r"\s*declare\s+(\w+)\s+varchar;\s*begin\s+select\s(.*)\sinto :\1;\s*return \1;"
    r"\s*exception\s+when\s+other\s+then\s+return sqlerrm;\s*end;?\s*",
    re.IGNORECASE | re.DOTALL,
)
# And one that runs a statement and returns a text, or the error's text.
_ATTEMPT = re.compile(
    r"\s*begin\s+(execute\s+immediate)\s+('(?:[^'\\]|\\.|'')*');\s*return\s+'(\w*)';"
    r"\s*exception\s+when\s+other\s+then\s+return sqlerrm;\s*end;?\s*",
    re.IGNORECASE | re.DOTALL,
)


def handle(session: Session, sql: str) -> Rows | None:
    """Answer EXECUTE IMMEDIATE of a block.

    See https://docs.snowflake.com/en/developer-guide/snowflake-scripting/exceptions
    """
    if first_words(sql, 2) != ["execute", "immediate"]:
        return None
    read = Reader(sql)
    read.expect("execute", "immediate")
    body = read.string()
    read.end()
    if block := _BLOCK.fullmatch(body):
        statement, answer = f"select {block[2]}", None
    elif block := _ATTEMPT.fullmatch(body):
        statement, answer = unescaped(block[2]), (block[3],)
    else:
        raise compilation_error("the local Snowflake does not support this block.")
    from local_snowflake import functions  # which imports this module

    cursor = session.cursor()
    try:
        with functions.errors(session):
            cursor._answer(statement)
        row = answer or cursor.fetchone()
    except ProgrammingError as error:
        query = session.account.functions.query
        failed = query.error if query and query.error else error
        said: Any = failed.raw_msg or failed.msg
    else:
        said = row[0] if isinstance(row, tuple) else None
    return Rows([("anonymous block", "varchar")], [(said,)])
