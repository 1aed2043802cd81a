"""Running a SavedModel for one text: the shape of what comes out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.inspection.findings import Findings
from tf_embeddings_staging.inspection.graph import CALL

Tensor = Any  # TensorFlow ships no types

_TEXT = "test"


def run_once(
    path: Path, findings: Findings, preprocessor: Path | None = None
) -> tuple[int, float | None]:
    """Load a model that was examined, and embed one text.

    Returns:
        How many numbers the vector has, and its Euclidean length; None where it is pooled later.

    Raises:
        StagingError: what comes out is no vector.
    """
    import tensorflow as tf

    for library in findings.libraries:
        importlib.import_module(library)
    encoder = findings.encoder
    # The functions of a SavedModel do not keep its variables alive; these references do.
    loaded = tf.saved_model.load(str(path), tags=encoder["tags"])
    function = _function(loaded, encoder)
    if findings.kind == "text":
        before = preprocessor and tf.saved_model.load(
            str(preprocessor), tags=encoder["preprocessor"]["tags"]
        )
        outputs = _run_text(function, encoder, before)
    elif findings.kind == "tokens":
        outputs = _run_tokens(function, encoder, Path(findings.extra_files[encoder["tokenizer"]]))
    else:
        outputs = _run_sentencepiece(function, encoder, path / encoder["sentencepiece"])
    vectors = _output(outputs, encoder["output"])
    dimensions = _dimensions(vectors, encoder)
    if encoder.get("pooling"):
        return dimensions, None
    return dimensions, float(tf.linalg.norm(tf.cast(vectors[0], tf.float32)))


def _function(loaded: Any, encoder: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return loaded if encoder["signature"] == CALL else loaded.signatures[encoder["signature"]]


def _run_text(function: Any, encoder: Mapping[str, Any], before: Any) -> Any:  # noqa: ANN401
    if before is None:
        return _call_with_text(function, encoder)
    tensors = _call_with_text(_function(before, encoder["preprocessor"]), encoder["preprocessor"])
    if encoder["signature"] == CALL:
        return function(tensors)
    names = function.structured_input_signature[1]
    return function(**{name: tensors[name] for name in names})


def _call_with_text(function: Any, encoder: Mapping[str, Any]) -> Any:  # noqa: ANN401
    import tensorflow as tf

    text = tf.constant([_TEXT] if encoder["rank"] == 1 else [[_TEXT]])
    if encoder["input"] is None:
        return function(text)
    return function(**{encoder["input"]: text})


def _run_tokens(function: Any, encoder: Mapping[str, Any], tokenizer: Path) -> Any:  # noqa: ANN401
    import tensorflow as tf
    from tokenizers import Tokenizer

    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_padding()
    reader.enable_truncation(encoder["max_tokens"])
    encoding = reader.encode(_TEXT)
    rows = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    specs = _specs(function)
    tensors = {}
    for role, row in rows.items():
        if name := encoder[role]:
            spec = specs.get(name)
            dtype = spec.dtype if spec is not None else tf.int32
            length = spec.shape[1] if spec is not None and spec.shape.rank == 2 else None
            padded = [*row, *[0] * ((length or len(row)) - len(row))]
            tensors[name] = tf.constant([padded], dtype)
    return function(**tensors)


def _specs(function: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """Return the TensorSpec of each input, by name."""
    if hasattr(function, "structured_input_signature"):
        return function.structured_input_signature[1]
    return {
        name: parameter.type_constraint
        for concrete in getattr(function.__call__, "concrete_functions", [])
        for name, parameter in concrete.function_type.parameters.items()
        if hasattr(parameter.type_constraint, "dtype")
    }


def _run_sentencepiece(
    function: Any,  # noqa: ANN401
    encoder: Mapping[str, Any],
    model: Path,
) -> Any:  # noqa: ANN401
    import sentencepiece
    import tensorflow as tf

    processor = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())
    ids = processor.encode(_TEXT)
    rows = {
        "values": ids,
        "indices": [[0, place] for place in range(len(ids))],
        "dense_shape": [1, len(ids)],
    }
    specs = _specs(function)
    tensors = {
        encoder[role]: tf.constant(row, specs[encoder[role]].dtype) for role, row in rows.items()
    }
    return function(**tensors)


def _output(outputs: Any, name: str | None) -> Tensor:  # noqa: ANN401
    if name is None:
        return outputs
    if isinstance(outputs, Mapping):
        return outputs[name]
    return outputs[int(name)]


def _dimensions(vectors: Tensor, encoder: Mapping[str, Any]) -> int:
    shape = vectors.shape.as_list()
    pooling = encoder.get("pooling")
    rank = 3 if pooling else 2
    if len(shape) == rank and shape[0] == 1 and shape[-1] > 0:
        return shape[-1]
    named = f"'{encoder['output']}'" if encoder["output"] is not None else "of vectors"
    wanted = "[1, tokens, dimensions]" if pooling else "[1, dimensions]"
    is_poolable = "pooling" in encoder and pooling is None and len(shape) == 3
    raise StagingError(
        f"the output {named} has the shape {shape} for one text; it must be {wanted}."
        f"{' Say --pooling mean, cls or max.' if is_poolable else ''}"
    )
