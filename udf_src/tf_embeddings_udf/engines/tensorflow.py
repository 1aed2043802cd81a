"""TensorFlow itself, for models that LiteRT cannot run, mostly those that take strings."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_udf.engines import LIBRARIES, TENSORFLOW, Engine, Input, in_a_line
from tf_embeddings_udf.engines.stderr import without_lines
from tf_embeddings_udf.errors import TfEmbeddingsError
from tf_embeddings_udf.manifest import MODEL_FOLDER, PREPROCESSOR_FOLDER

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.manifest import Manifest

CALL = "__call__"
"""Instead of a signature's name: the loaded object itself is called."""

# By process, content and tags: models that differ only in their prefix share what is loaded.
_loaded: weakref.WeakValueDictionary[tuple[Any, ...], Any] = weakref.WeakValueDictionary()
_loading = threading.Lock()

# The process that TensorFlow's threads belong to; in a fork of it, TensorFlow waits for them
# forever.
_processes: set[int] = set()

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
        with without_lines(_CHATTER):
            import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
    if threads:
        # RuntimeError: TensorFlow has started its threads already.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


class TensorFlow(Engine):
    """A signature of a SavedModel, or the loaded object itself.

    One call runs on all of TensorFlow's threads: two Python threads with one each were slower.
    """

    name = TENSORFLOW

    def __init__(
        self, manifest: Manifest, folder: Path, threads: int, part: str = MODEL_FOLDER
    ) -> None:
        """Load the SavedModel in the folder `part` of an artifact, and look up what it is to run.

        The parameters are the encoder's, or those that it has for its preprocessor.

        Raises:
            TfEmbeddingsError: TensorFlow cannot load it, or it lacks what the manifest names.
            ModuleNotFoundError: a library is not installed.
        """
        super().__init__(manifest.model, manifest.encoder)
        self._is_preprocessor = part == PREPROCESSOR_FOLDER
        if self._is_preprocessor:
            self._what = f"the preprocessor of {self._what}"
            self._place = "encoder.preprocessor"
            self._parameters = manifest.encoder["preprocessor"]
        if _processes - {os.getpid()}:
            raise TfEmbeddingsError(
                f"tf_embeddings: model '{self._model}' runs on TensorFlow, which ran before this "
                f"process was forked, and its threads do not survive a fork. Start processes with "
                f"multiprocessing's 'spawn'."
            )
        self.tf = import_tensorflow(threads)
        _processes.add(os.getpid())
        self._import_libraries(manifest)
        # The functions of a SavedModel do not keep its variables alive; this reference does.
        self.loaded = self._load(manifest, folder, part)
        name = self.text("signature")
        self._call = self.loaded if name == CALL else self._signature(name)
        self.specs = self._input_specs()
        """The TensorSpec of each input; empty where a called object does not tell."""
        self.inputs = {
            name: Input(
                spec.dtype.as_numpy_dtype,
                None if spec.shape.rank is None else tuple(spec.shape.as_list()),
            )
            for name, spec in self.specs.items()
        }

    @property
    def version(self) -> str:
        """The version of TensorFlow."""
        return str(self.tf.__version__)

    @property
    def is_signature(self) -> bool:
        """Whether its inputs must be given by name."""
        return self._call is not self.loaded

    def whole(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401 - tensors
        """Run it: all that it gives."""
        return self._call(*inputs, **named)

    def __call__(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Run the model on named arrays: the output that the manifest names, float32."""
        tensors = {
            name: self.tf.constant(value, self.specs[name].dtype) for name, value in inputs.items()
        }
        return self.output(**tensors).numpy()

    def output(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401 - tensors
        """Run it on tensors: the output that the manifest names, a float32 tensor.

        Raises:
            TfEmbeddingsError: there is no such output, or it is not a tensor of floats.
        """
        outputs = _named(self._call(*inputs, **named))
        name = self.parameter("output")
        if name not in outputs:
            raise self.lacks("output", name, outputs)
        output = outputs[name]
        if not isinstance(output, self.tf.Tensor):
            raise self._gives_no_floats(name, f"a {type(output).__name__}")
        if not output.dtype.is_floating:
            raise self._gives_no_floats(name, f"a tensor of {output.dtype.name}")
        return self.tf.cast(output, self.tf.float32)

    def _import_libraries(self, manifest: Manifest) -> None:
        """Import the libraries whose operations the model has."""
        libraries = manifest.encoder.get("libraries", [])
        if not isinstance(libraries, list) or any(one not in [*LIBRARIES] for one in libraries):
            raise TfEmbeddingsError(
                f"tf_embeddings: the manifest of model '{self._model}' says encoder.libraries: "
                f"{libraries!r}, and only {', '.join(LIBRARIES)} may be imported for a model. "
                f"Stage the model again."
            )
        for library in libraries:
            try:
                importlib.import_module(library)
            except ModuleNotFoundError:
                raise
            except Exception as error:  # made for another TensorFlow
                what = in_a_line(error)
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
                        f"cannot be loaded by TensorFlow {version} ({in_a_line(error)})"
                    ) from error
                _loaded[key] = loaded
        return loaded

    def _signature(self, name: str) -> Any:  # noqa: ANN401
        signatures = self.loaded.signatures
        if name not in signatures:
            raise self.lacks("signature", name, signatures)
        signature = signatures[name]
        output = self.parameter("output")
        if not self._is_preprocessor and output not in signature.structured_outputs:
            raise self.lacks("output", output, signature.structured_outputs)
        return signature

    def _input_specs(self) -> Mapping[str, Any]:
        if self.is_signature:
            return self._call.structured_input_signature[1]
        if not callable(self.loaded):
            has = ", ".join(sorted(self.loaded.signatures))
            raise self.error(f"cannot be called itself (it has the signatures: {has})")
        functions = getattr(self.loaded.__call__, "concrete_functions", [])
        return {
            name: parameter.type_constraint
            for function in functions
            for name, parameter in function.function_type.parameters.items()
            if hasattr(parameter.type_constraint, "dtype")
        }

    def _gives_no_floats(self, name: str | None, came: str) -> TfEmbeddingsError:
        output = "its output" if name is None else f"its output '{name}'"
        return self.error(f"gave {came} as {output}, not a tensor of floats")


def _named(result: Any) -> Mapping[Any, Any]:  # noqa: ANN401
    """Name what a function gave: by key, by place, or None for a single tensor."""
    if isinstance(result, Mapping):
        return result
    if isinstance(result, list | tuple):
        return {str(place): output for place, output in enumerate(result)}
    return {None: result}


def load(manifest: Manifest, folder: Path, threads: int) -> TensorFlow:
    """Load the model of an unpacked artifact."""
    return TensorFlow(manifest, folder, threads)
