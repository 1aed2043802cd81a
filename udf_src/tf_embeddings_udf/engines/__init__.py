"""The seam between a kind of encoder and what runs its model: named arrays in, float32 rows out.

A new engine is one module with a class of this base and one entry in `ENGINES`.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tf_embeddings_udf.errors import TfEmbeddingsError

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.manifest import Manifest

LITERT, TENSORFLOW = "litert", "tensorflow"

_thread = threading.local()

Item = TypeVar("Item")
Result = TypeVar("Result")

ENGINES = {
    LITERT: ("tf_embeddings_udf.engines.litert", "ai-edge-litert"),
    TENSORFLOW: ("tf_embeddings_udf.engines.tensorflow", "tensorflow"),
}
"""Every engine: its module, and the Python package that it needs."""

LIBRARIES = {"tensorflow_text": "tensorflow-text"}
"""The modules whose ops a graph may need beside TensorFlow's own, and their packages. A manifest
comes from a file: no other module is imported for it."""

# Where in its graph an error was, as TensorFlow puts it into each: [[{{function_node …}}]].
_NODES = re.compile(r"\[\[\{\{.*?\}\}[^\[\]]*\]\]|\{\{(?:function_)?node [^}]*\}\}|\[Op:[^\]]*\]")


@dataclass(frozen=True)
class Input:
    """An input of a model: its NumPy type, and its shape with None for what is open.

    Attributes:
        shape: None where even the rank is open.
    """

    dtype: Any
    shape: tuple[int | None, ...] | None


class Engine(ABC):
    """A loaded model. Any number of threads may call it.

    Attributes:
        workers: how many calls at once make it faster.
        inputs: by the model's own names.
    """

    name: str
    inputs: Mapping[str, Input]

    def __init__(self, model: str, parameters: Mapping[str, Any], workers: int = 1) -> None:
        """Keep the model's name for messages, and the manifest's `encoder`."""
        self._model = model
        self._parameters = parameters
        self._what = f"model '{model}'"
        self._place = "encoder"
        self.workers = workers
        # They start with the first column that needs them.
        self._threads = ThreadPoolExecutor(workers, "tf_embeddings", _mark_thread)

    @abstractmethod
    def __call__(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Run the model: the output that the manifest names, float32."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the library that runs the model."""

    def map(self, call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Make a call for each item, as many at once as there are workers; the results in order."""
        if len(items) < 2 or self.workers < 2:
            return [call(item) for item in items]
        return list(self._threads.map(call, items))

    @property
    def is_in_parallel(self) -> bool:
        """Whether this is one of several calls of `map`, and the cores are shared with them."""
        return getattr(_thread, "is_worker", False)

    def parameter(self, name: str) -> Any:  # noqa: ANN401 - as JSON gives it
        """Return what the manifest says of the model; None where it says nothing."""
        return self._parameters.get(name)

    def input_named_by(self, parameter: str) -> tuple[str, Input]:
        """Return the name and the type of the input that an encoder parameter names."""
        name = self.text(parameter)
        if name not in self.inputs:
            raise self.lacks("input", name, self.inputs)
        return name, self.inputs[name]

    def text(self, parameter: str) -> str:
        """Return a parameter that must be a name."""
        value = self.parameter(parameter)
        if isinstance(value, str):
            return value
        raise self.says(parameter, "a name")

    def error(self, what: str) -> TfEmbeddingsError:
        """Return the error that says what of this model does not fit its manifest."""
        return TfEmbeddingsError(f"tf_embeddings: {self._what} {what}. Stage the model again.")

    def says(self, name: str, allowed: str) -> TfEmbeddingsError:
        """Return the error that a parameter is not what is allowed."""
        return TfEmbeddingsError(
            f"tf_embeddings: the manifest of model '{self._model}' says {self._place}.{name}: "
            f"{self.parameter(name)!r}, not {allowed}. Stage the model again."
        )

    def lacks(self, what: str, name: str | None, has: Iterable[Any]) -> TfEmbeddingsError:
        """Return the error that the model has no input, output or signature of this name."""
        nameless = "one without a name"
        wanted = "without a name" if name is None else f"'{name}'"
        there = ", ".join(sorted(nameless if one is None else one for one in has))
        return self.error(f"has no {what} {wanted} (it has: {there or 'none'})")


def load_engine(manifest: Manifest, folder: Path, threads: int) -> Engine:
    """Load the model of an unpacked artifact with the engine that its manifest names.

    Args:
        manifest: the artifact's.
        folder: where it is unpacked.
        threads: how many it may use; 0 for all cores.

    Raises:
        TfEmbeddingsError: the engine is unknown, or the model lacks what the manifest names.
        ModuleNotFoundError: the engine's package is not installed.
    """
    if manifest.engine not in ENGINES:
        raise TfEmbeddingsError(
            f"tf_embeddings: model '{manifest.model}' runs on the engine '{manifest.engine}', and "
            f"the installed tf_embeddings knows {', '.join(sorted(ENGINES))}. Install the "
            f"tf_embeddings that staged it."
        )
    module, _ = ENGINES[manifest.engine]
    load = cast("Callable[[Manifest, Path, int], Engine]", import_module(module).load)
    return load(manifest, folder, threads)


def _mark_thread() -> None:
    _thread.is_worker = True


def in_a_line(error: Exception) -> str:
    """Return an error as a part of a sentence."""
    return " ".join(_NODES.sub(" ", f"{type(error).__name__}: {error}").split())[:300]
