"""LiteRT, TensorFlow's inference runtime, for models that were converted when they were staged.

An interpreter runs one call at a time, so a column's batches run on as many interpreters as there
are workers, each with one thread. A single batch, such as a search question, runs on one
interpreter with all the threads.
https://ai.google.dev/edge/litert
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.cores import available_cores
from tf_embeddings_udf.engines import LITERT, Engine, Input, in_a_line
from tf_embeddings_udf.engines.stderr import without_lines
from tf_embeddings_udf.manifest import MODEL_FOLDER

if TYPE_CHECKING:
    from tf_embeddings_udf.manifest import Manifest

MODEL_FILE = "model.tflite"
SIGNATURE = "serving_default"
OUTPUT = "embedding"

# Of one interpreter: the work on a short text cannot be split further. Measured with two.
_MOST_THREADS = 4

# What LiteRT writes to stderr when a process first runs a model; no setting turns it off.
_CHATTER = re.compile(rb"INFO: ")
_is_quiet = threading.Event()

# By process, content and workers: models that differ in their prefix only share their interpreters.
_loaded: weakref.WeakValueDictionary[tuple[Any, ...], _Pool] = weakref.WeakValueDictionary()
_loading = threading.Lock()


class LiteRT(Engine):
    """A model of LiteRT."""

    name = LITERT

    def __init__(self, manifest: Manifest, folder: Path, threads: int) -> None:
        """Load the model for this many calls at once; 0: one for each core."""
        super().__init__(manifest.model, manifest.encoder, threads or available_cores())
        path = folder / MODEL_FOLDER / MODEL_FILE
        entry = manifest.files.get(f"{MODEL_FOLDER}/{MODEL_FILE}")
        # A model that staging compares is not in a manifest yet, and is not shared.
        key = (os.getpid(), entry.sha256 if entry else object(), self.workers)
        try:
            with _loading:
                pool = _loaded.get(key)
                if pool is None:
                    pool = _loaded[key] = _Pool(path, self.workers)
        except (OSError, ValueError, RuntimeError) as error:
            what = f"cannot be loaded by LiteRT {self.version} ({in_a_line(error)})"
            raise self.error(what) from error
        self._pool = pool
        self.inputs = pool.inputs

    @property
    def version(self) -> str:
        """The version of ai-edge-litert."""
        return importlib.metadata.version("ai-edge-litert")

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run the model on an interpreter that no other call is using."""
        with self._pool.interpreter(in_parallel=self.is_in_parallel) as interpreter:
            return interpreter.run(inputs)


class _Pool:
    """The interpreters of one model; one more is made when a call finds none idle.

    Each weighs about half as much as its model, so there are no more than `size` with one thread,
    and one with several, the wide one.
    """

    def __init__(self, path: Path, size: int) -> None:
        # A file is mapped, and counted, once for each interpreter; bytes are shared.
        self._source: dict[str, Any] = (
            {"model_path": str(path)} if size == 1 else {"model_content": path.read_bytes()}
        )
        self._threads = min(size, _MOST_THREADS)
        self._free = threading.Semaphore(size)
        self._is_wide_free = threading.Lock()
        self._lock = threading.Lock()
        self._idle: list[_Interpreter] = []
        self._wide: _Interpreter | None = _Interpreter(self._source, self._threads)
        self.inputs = self._wide.inputs

    @contextmanager
    def interpreter(self, *, in_parallel: bool) -> Iterator[_Interpreter]:
        """Give an interpreter that no other call is using; one that raises is not used again."""
        with self._free:
            if not in_parallel and self._is_wide_free.acquire(blocking=False):
                try:
                    wide, self._wide = self._wide, None
                    wide = wide or _Interpreter(self._source, self._threads)
                    yield wide
                    self._wide = wide
                finally:
                    self._is_wide_free.release()
                return
            with self._lock:
                interpreter = self._idle.pop() if self._idle else None
            if interpreter is None:
                if in_parallel and self._is_wide_free.acquire(blocking=False):
                    self._wide = None  # Its memory serves the column better.
                    self._is_wide_free.release()
                interpreter = _Interpreter(self._source, 1)
            yield interpreter
            with self._lock:
                self._idle.append(interpreter)


class _Interpreter:
    """One interpreter of a model, and the shapes that it is laid out for."""

    def __init__(self, source: Mapping[str, Any], threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(**source, num_threads=threads)
        signatures = self._interpreter.get_signature_list()
        if SIGNATURE not in signatures:
            raise ValueError(f"it has no signature '{SIGNATURE}'")
        runner = self._interpreter.get_signature_runner(SIGNATURE)
        outputs = runner.get_output_details()
        if OUTPUT not in outputs:
            raise ValueError(f"it has no output '{OUTPUT}'")
        self._output: int = outputs[OUTPUT]["index"]
        details = runner.get_input_details()
        self._places: dict[str, int] = {name: one["index"] for name, one in details.items()}
        self.inputs = {
            name: Input(
                one["dtype"], tuple(None if n < 0 else int(n) for n in one["shape_signature"])
            )
            for name, one in details.items()
        }
        self._shapes: dict[str, tuple[int, ...]] = {}

    def run(self, inputs: Mapping[str, Any]) -> np.ndarray:
        shapes = {name: value.shape for name, value in inputs.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._places[name], shape)
            with nullcontext() if _is_quiet.is_set() else without_lines(_CHATTER):
                self._interpreter.allocate_tensors()
            _is_quiet.set()
            self._shapes = shapes
        for name, value in inputs.items():
            self._interpreter.set_tensor(self._places[name], value)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


def load(manifest: Manifest, folder: Path, threads: int) -> LiteRT:
    """Load the model of an unpacked artifact."""
    return LiteRT(manifest, folder, threads)
