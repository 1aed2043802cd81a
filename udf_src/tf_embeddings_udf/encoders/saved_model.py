"""What the kinds share: TensorFlow itself, and one signature of a SavedModel."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_udf.errors import TfEmbeddingsError
from tf_embeddings_udf.manifest import MODEL_FOLDER

if TYPE_CHECKING:
    import numpy as np

    from tf_embeddings_udf.manifest import Manifest


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


class Signature:
    """A signature of a SavedModel, called with NumPy arrays or tensors by argument name."""

    def __init__(self, manifest: Manifest, folder: Path, threads: int) -> None:
        """Load the model and look up the signature and the output that the manifest names."""
        self.tf = import_tensorflow(threads)
        self._manifest = manifest
        # The functions of a SavedModel do not keep its variables alive; this reference does.
        self._loaded = self.tf.saved_model.load(str(folder / MODEL_FOLDER))
        name = self._parameter("signature")
        signatures = self._loaded.signatures
        if name not in signatures:
            raise self._lacks("signature", name, signatures)
        self._call = signatures[name]
        self._inputs = self._call.structured_input_signature[1]
        self._output = self._parameter("output")
        if self._output not in self._call.structured_outputs:
            raise self._lacks("output", self._output, self._call.structured_outputs)

    def input_named_by(self, parameter: str) -> tuple[str, Any]:
        """Return the name and the TensorFlow type of the input that an encoder parameter names."""
        name = self._parameter(parameter)
        if name not in self._inputs:
            raise self._lacks("input", name, self._inputs)
        return name, self._inputs[name].dtype

    def __call__(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Run the model: float32 [rows, dimensions]."""
        return self._call(**inputs)[self._output].numpy().astype("float32", copy=False)

    def _parameter(self, name: str) -> str:
        value = self._manifest.encoder.get(name)
        if isinstance(value, str):
            return value
        raise TfEmbeddingsError(
            f"tf_embeddings: the manifest of model '{self._manifest.model}' says "
            f"encoder.{name}: {value!r}, not a name. Stage the model again."
        )

    def _lacks(self, what: str, name: str, has: Mapping[str, Any]) -> TfEmbeddingsError:
        return TfEmbeddingsError(
            f"tf_embeddings: model '{self._manifest.model}' has no {what} '{name}' "
            f"(it has: {', '.join(sorted(has))}). Stage the model again."
        )
