"""The BERT family of sentence encoders: configuration and weights.

What of a folder's config.json and weights is needed, read with care; `bert_graph` does the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_staging.errors import StagingError

if TYPE_CHECKING:
    import numpy as np

CONVERTER = 1
"""Counts up when the converter's numbers change: it is a part of a converted model's version."""

ACTIVATIONS = ("gelu", "gelu_new", "relu")
POOLINGS = ("cls", "mean")

AS_SAVED_MODEL = (
    "Stage a SavedModel of it instead: TensorFlow's class of it in transformers 4 saves one, with "
    "save_pretrained(folder, saved_model=True)."
)
"""What to do with an encoder that cannot be converted."""

# Parts of a checkpoint that a sentence's vector does not depend on.
_UNUSED = ("pooler.", "cls.", "embeddings.position_ids")


@dataclass(frozen=True)
class BertConfig:
    """The architecture: the fields of config.json that decide about the numbers."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    vocab_size: int
    type_vocab_size: int
    layer_norm_eps: float
    hidden_act: str

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as they go into the version."""
        return {"model_type": "bert", **asdict(self)}


def read_config(fields: Mapping[str, Any], label: str) -> BertConfig:
    """Validate the config.json of a BERT; `label` names it in messages.

    Raises:
        StagingError: it is of a different family, or has a part that the converter does not know.
    """
    if (model_type := fields.get("model_type")) != "bert":
        raise StagingError(
            f"{label} says model_type {model_type!r}; the converter knows 'bert'. {AS_SAVED_MODEL}"
        )
    for key in ("auto_map", "quantization_config"):
        if fields.get(key):
            raise StagingError(
                f"{label} says {key}, so the encoder is more than a BERT and its weights, and the "
                f"converter knows no more. {AS_SAVED_MODEL}"
            )
    activation = fields.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS:
        raise StagingError(
            f"{label} says hidden_act {activation!r}; the converter knows "
            f"{', '.join(map(repr, ACTIVATIONS))}."
        )
    positions = fields.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise StagingError(
            f"{label} says position_embedding_type {positions!r}; the converter knows 'absolute'."
        )
    for flag in ("is_decoder", "add_cross_attention"):
        if fields.get(flag):
            raise StagingError(f"{label} says {flag} true; the converter knows encoders only.")
    config = BertConfig(
        hidden_size=_size(fields, "hidden_size", label),
        num_hidden_layers=_size(fields, "num_hidden_layers", label),
        num_attention_heads=_size(fields, "num_attention_heads", label),
        intermediate_size=_size(fields, "intermediate_size", label),
        max_position_embeddings=_size(fields, "max_position_embeddings", label),
        vocab_size=_size(fields, "vocab_size", label),
        type_vocab_size=_size(fields, "type_vocab_size", label),
        layer_norm_eps=_epsilon(fields.get("layer_norm_eps", 1e-12), label),
        hidden_act=activation,
    )
    if config.hidden_size % config.num_attention_heads:
        raise StagingError(
            f"{label} says hidden_size {config.hidden_size}, which its num_attention_heads "
            f"{config.num_attention_heads} does not divide."
        )
    return config


def read_weights(config: BertConfig, path: Path) -> dict[str, np.ndarray]:
    """Read the encoder's tensors, as float32 and without prefix, and check their shapes.

    Raises:
        StagingError: the file is not a safetensors file, or a tensor is missing, unknown, or of
            the wrong shape or type.
    """
    import ml_dtypes  # noqa: F401 - teaches NumPy bfloat16; TensorFlow brings it
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            names = {_plain_name(name): name for name in file.keys()}  # noqa: SIM118 - no mapping
            expected = _shapes(config)
            _check_names(names, expected, path.name)
            tensors = {name: file.get_tensor(names[name]) for name in sorted(expected)}
    except SafetensorError as error:
        raise StagingError(f"'{path.name}' is not a complete safetensors file ({error}).") from None
    for name, tensor in tensors.items():
        if tensor.shape != expected[name]:
            raise StagingError(
                f"'{path.name}' has {name} of shape {list(tensor.shape)}, and config.json asks "
                f"for {list(expected[name])}."
            )
        if tensor.dtype.name not in ("float64", "float32", "float16", "bfloat16"):
            raise StagingError(
                f"'{path.name}' has {name} of type {tensor.dtype.name}; the converter knows "
                f"float32, float16 and bfloat16."
            )
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def _plain_name(name: str) -> str:
    """Return a tensor's name without BertFor...'s prefix, and with today's layer norm names."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _check_names(names: Mapping[str, str], expected: Mapping[str, Any], label: str) -> None:
    if missing := sorted(expected.keys() - names.keys()):
        raise StagingError(
            f"'{label}' lacks {missing[0]}{_and_more(missing)}, so it is not a BERT encoder of the "
            f"size in config.json."
        )
    unknown = sorted(name for name in names.keys() - expected.keys() if not is_unused(name))
    if unknown:
        raise StagingError(
            f"'{label}' has {unknown[0]}{_and_more(unknown)}, which a BERT encoder of the size in "
            f"config.json does not have."
        )


def is_unused(name: str) -> bool:
    """Tell whether a sentence's vector does not depend on this tensor."""
    return name.startswith(_UNUSED)


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, hidden),
        "embeddings.position_embeddings.weight": (config.max_position_embeddings, hidden),
        "embeddings.token_type_embeddings.weight": (config.type_vocab_size, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    dense = {
        "attention.self.query": (hidden, hidden),
        "attention.self.key": (hidden, hidden),
        "attention.self.value": (hidden, hidden),
        "attention.output.dense": (hidden, hidden),
        "intermediate.dense": (inner, hidden),
        "output.dense": (hidden, inner),
    }
    for layer in range(config.num_hidden_layers):
        prefix = f"encoder.layer.{layer}."
        for name, (rows, columns) in dense.items():
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
            shapes[f"{prefix}{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{prefix}{name}.weight"] = (hidden,)
            shapes[f"{prefix}{name}.bias"] = (hidden,)
    return shapes


def _size(fields: Mapping[str, Any], name: str, label: str) -> int:
    value = fields.get(name)
    if type(value) is int and value > 0:
        return value
    raise StagingError(f"{label} says {name} {value!r}, not a whole number of at least 1.")


def _epsilon(value: object, label: str) -> float:
    if isinstance(value, int | float) and 0 < value < 1:
        return float(value)
    raise StagingError(f"{label} says layer_norm_eps {value!r}, not a number between 0 and 1.")
