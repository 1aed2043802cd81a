"""Encoders that take strings: the tokenizer is in the SavedModel, or in a preprocessor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_embeddings_udf.encoders import Prepared
from tf_embeddings_udf.manifest import PREPROCESSOR_FOLDER

if TYPE_CHECKING:
    from tf_embeddings_udf.engines import Engine
    from tf_embeddings_udf.engines.tensorflow import TensorFlow
    from tf_embeddings_udf.manifest import Manifest

Tensor = Any  # TensorFlow ships no types


class TextEncoder:
    """Universal Sentence Encoder, NNLM, Keras models. A payload is a text's UTF-8 bytes."""

    budget = 65_536  # bytes of text, padded to the longest: about 16,384 tokens

    def __init__(self, manifest: Manifest, folder: Path, engine: Engine) -> None:
        """Load the preprocessor where the model has one."""
        from tf_embeddings_udf.engines.tensorflow import TensorFlow

        if not isinstance(engine, TensorFlow):
            raise engine.error(f"takes strings, which the engine '{engine.name}' does not run")
        self.engine = self._model = engine
        self._preprocessor: TensorFlow | None = None
        self._least_cost = 0
        if manifest.encoder.get("preprocessor") is not None:
            self._preprocessor = TensorFlow(manifest, folder, 0, PREPROCESSOR_FOLDER)
            # It pads short texts too, mostly to 128 tokens: 16 rows make a batch as large as one of
            # the kind `tokens`.
            self._least_cost = self.budget // 16
        self._of_strings = _OfStrings(self._preprocessor or self._model)

    def prepare(self, texts: Sequence[str]) -> list[Prepared]:
        """Encode as UTF-8."""
        payloads = [text.encode() for text in texts]
        return [
            Prepared(payload, max(len(payload), self._least_cost), None, None)
            for payload in payloads
        ]

    def run(self, payloads: Sequence[Any]) -> np.ndarray:
        """Run the model on all texts at once, behind its preprocessor where it has one."""
        inputs, named = self._of_strings.arguments(payloads)
        if self._preprocessor is None:
            return self._model.output(*inputs, **named).numpy()
        tensors = self._preprocessor.whole(*inputs, **named)
        if not isinstance(tensors, Mapping):
            came = type(tensors).__name__
            raise self._preprocessor.error(f"gave an output of type {came}, not named tensors")
        if not self._model.is_signature:
            return self._model.output(tensors).numpy()
        if missing := sorted(self._model.inputs.keys() - tensors.keys()):
            raise self._preprocessor.error(
                f"gave {', '.join(sorted(tensors))}, and its model needs {missing[0]} as well"
            )
        named = {name: tensors[name] for name in self._model.inputs}
        return self._model.output(**named).numpy()


class _OfStrings:
    """A function of strings: by which name it takes them, and as a vector or as a column."""

    def __init__(self, function: TensorFlow) -> None:
        self._tf = function.tf
        self._name: str | None = None
        if function.is_signature or function.parameter("input") is not None:
            self._name, _ = function.input_named_by("input")
        self._rank = function.parameter("rank")
        if self._rank not in (1, 2):
            raise function.says("rank", "1 or 2")

    def arguments(self, texts: Sequence[bytes]) -> tuple[list[Tensor], dict[str, Tensor]]:
        # From a list: NumPy's own byte strings would lose NUL characters at the end.
        strings = self._tf.constant(list(texts))
        if self._rank == 2:
            strings = self._tf.reshape(strings, [-1, 1])
        return ([strings], {}) if self._name is None else ([], {self._name: strings})
