"""What the kinds share: TensorFlow itself, and one function of a SavedModel."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_udf.errors import TfEmbeddingsError
from tf_embeddings_udf.manifest import MODEL_FOLDER, PREPROCESSOR_FOLDER

if TYPE_CHECKING:
    from tf_embeddings_udf.manifest import Manifest

CALL = "__call__"
"""Instead of a signature's name: the loaded object itself is called."""

# A manifest comes from a file; it may not have any module of the user's imported.
_LIBRARIES = ("tensorflow_text",)

# By process, content and tags: models that differ in their prefix alone share what is loaded.
_loaded: weakref.WeakValueDictionary[tuple[Any, ...], Any] = weakref.WeakValueDictionary()
_loading = threading.Lock()

# Lines that TensorFlow logs while it is imported, whatever TF_CPP_MIN_LOG_LEVEL says: in absl's
# format, announced by a warning, or in its own. tensorflow/tensorflow#100442
_CHATTER = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:"
    rb"|WARNING: All log messages before absl::Init"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
)


def import_tensorflow(threads: int) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Import TensorFlow, silent, with `threads` threads (0: all cores).

    The number of threads is the process's: it can be set until TensorFlow first runs something,
    and the first model to be loaded decides.
    """
    if "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        import tensorflow as tf
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        with _without_chatter():
            import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
    if threads:
        # RuntimeError: TensorFlow has started its threads already.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to stderr, and then write all of it but TensorFlow's chatter.

    The chatter comes from C++, so it is the file descriptor that is held.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)


class Function:
    """A signature of a SavedModel, or the loaded object itself; called with tensors."""

    def __init__(
        self, manifest: Manifest, folder: Path, threads: int, part: str = MODEL_FOLDER
    ) -> None:
        """Load the SavedModel in the folder `part` of an artefact, and look up what it is to run.

        The parameters are the encoder's, or those that it has for its preprocessor.

        Raises:
            TfEmbeddingsError: TensorFlow cannot load it, or it lacks what the manifest names.
            ModuleNotFoundError: a library is not installed.
        """
        self.tf = import_tensorflow(threads)
        self._model = manifest.model
        self._parameters: Mapping[str, Any] = manifest.encoder
        self._is_preprocessor = part == PREPROCESSOR_FOLDER
        if self._is_preprocessor:
            self._parameters = manifest.encoder["preprocessor"]
        self._import_libraries(manifest)
        # The functions of a SavedModel do not keep its variables alive; this reference does.
        self._object = self._load(manifest, folder, part)
        name = self._text("signature")
        self._call = self._object if name == CALL else self._signature(name)
        self._inputs = self._input_specs()

    def input_named_by(self, parameter: str) -> tuple[str, Any]:
        """Return the name and the TensorFlow type of the input that an encoder parameter names."""
        name = self._text(parameter)
        if name not in self._inputs:
            raise self._lacks("input", name, self._inputs)
        return name, self._inputs[name].dtype

    def fixed_length(self, name: str) -> int | None:
        """Return how long the rows of an input must be, None if they may have any length."""
        shape = self._inputs[name].shape
        return shape[1] if shape.rank == 2 else None

    def parameter(self, name: str) -> Any:  # noqa: ANN401 - as JSON gives it
        """Return what the manifest says of this function; None where it says nothing."""
        return self._parameters.get(name)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The TensorSpec of each input; empty where a called object does not tell."""
        return self._inputs

    @property
    def is_signature(self) -> bool:
        """Whether its inputs must be given by name."""
        return self._call is not self._object

    def whole(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401 - tensors
        """Run it: all that it gives."""
        return self._call(*inputs, **named)

    def __call__(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401 - tensors
        """Run it: the output that the manifest names, a float32 tensor.

        Raises:
            TfEmbeddingsError: there is no such output, or it is no tensor of floats.
        """
        outputs = _named(self._call(*inputs, **named))
        name = self.parameter("output")
        if name not in outputs:
            raise self._lacks("output", name, outputs)
        output = outputs[name]
        if not isinstance(output, self.tf.Tensor):
            raise self._gives_no_floats(name, f"a {type(output).__name__}")
        if not output.dtype.is_floating:
            raise self._gives_no_floats(name, f"a tensor of {output.dtype.name}")
        return self.tf.cast(output, self.tf.float32)

    def error(self, what: str) -> TfEmbeddingsError:
        """Return the error that says what of this model does not fit its manifest."""
        of = "the preprocessor of " if self._is_preprocessor else ""
        return TfEmbeddingsError(
            f"tf_embeddings: {of}model '{self._model}' {what}. Stage the model again."
        )

    def says(self, name: str, allowed: str) -> TfEmbeddingsError:
        """Return the error that a parameter is not what is allowed."""
        of = "preprocessor." if self._is_preprocessor else ""
        return TfEmbeddingsError(
            f"tf_embeddings: the manifest of model '{self._model}' says encoder.{of}{name}: "
            f"{self.parameter(name)!r}, not {allowed}. Stage the model again."
        )

    def _import_libraries(self, manifest: Manifest) -> None:
        """Import the libraries whose operations the model has."""
        libraries = manifest.encoder.get("libraries", [])
        if not isinstance(libraries, list) or any(one not in _LIBRARIES for one in libraries):
            raise TfEmbeddingsError(
                f"tf_embeddings: the manifest of model '{self._model}' says encoder.libraries: "
                f"{libraries!r}, and only {', '.join(_LIBRARIES)} may be imported for a model. "
                f"Stage the model again."
            )
        for library in libraries:
            try:
                importlib.import_module(library)
            except ModuleNotFoundError:
                raise
            except Exception as error:  # made for another TensorFlow
                what = _in_a_line(error)
                raise TfEmbeddingsError(
                    f"tf_embeddings: model '{self._model}' needs the Python module '{library}', "
                    f"which cannot be imported beside TensorFlow {self.tf.__version__} ({what}). "
                    f"Install the release that belongs to this TensorFlow."
                ) from error

    def _load(self, manifest: Manifest, folder: Path, part: str) -> Any:  # noqa: ANN401
        tags = self._parameters.get("tags", ["serve"])
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise self.says("tags", "a list of names")
        prefix = f"{part}/"
        content = frozenset(
            (name.removeprefix(prefix), entry.sha256)
            for name, entry in manifest.files.items()
            if name.startswith(prefix)
        )
        key = (os.getpid(), content, *tags)
        with _loading:
            loaded = _loaded.get(key)
            if loaded is None:
                try:
                    loaded = self.tf.saved_model.load(str(folder / part), tags=tags)
                except Exception as error:
                    version = self.tf.__version__
                    raise self.error(
                        f"cannot be loaded by TensorFlow {version} ({_in_a_line(error)})"
                    ) from error
                _loaded[key] = loaded
        return loaded

    def _signature(self, name: str) -> Any:  # noqa: ANN401
        signatures = self._object.signatures
        if name not in signatures:
            raise self._lacks("signature", name, signatures)
        signature = signatures[name]
        output = self.parameter("output")
        if not self._is_preprocessor and output not in signature.structured_outputs:
            raise self._lacks("output", output, signature.structured_outputs)
        return signature

    def _input_specs(self) -> Mapping[str, Any]:
        if self.is_signature:
            return self._call.structured_input_signature[1]
        if not callable(self._object):
            has = ", ".join(sorted(self._object.signatures))
            raise self.error(f"cannot be called itself (it has the signatures: {has})")
        functions = getattr(self._object.__call__, "concrete_functions", [])
        return {
            name: parameter.type_constraint
            for function in functions
            for name, parameter in function.function_type.parameters.items()
            if hasattr(parameter.type_constraint, "dtype")
        }

    def _text(self, name: str) -> str:
        value = self.parameter(name)
        if isinstance(value, str):
            return value
        raise self.says(name, "a name")

    def _lacks(
        self, what: str, name: str | None, has: Mapping[str, Any] | Mapping[None, Any]
    ) -> TfEmbeddingsError:
        nameless = "one without a name"
        wanted = "without a name" if name is None else f"'{name}'"
        there = ", ".join(sorted(nameless if one is None else one for one in has))
        return self.error(f"has no {what} {wanted} (it has: {there or 'none'})")

    def _gives_no_floats(self, name: str | None, came: str) -> TfEmbeddingsError:
        output = "its output" if name is None else f"its output '{name}'"
        return self.error(f"gave {came} as {output}, not a tensor of floats")


def _named(result: Any) -> Mapping[Any, Any]:  # noqa: ANN401
    """Name what a function gave: by key, by place, or None for a tensor that comes alone."""
    if isinstance(result, Mapping):
        return result
    if isinstance(result, list | tuple):
        return {str(place): output for place, output in enumerate(result)}
    return {None: result}


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
