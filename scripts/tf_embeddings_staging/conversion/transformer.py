"""Transformer encoders: what config.json says of one, and its weights under the names we give them.

The families and their spellings are in `families`; `transformer_graph` does the sums, for all of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_embeddings_staging.conversion.families import (
    AGAIN,
    FAMILIES,
    NO_EXTRAS_BECAUSE,
    NORMS,
    NOT_A_DECODER,
    Architecture,
    Family,
    Fields,
    epsilon,
    layer_count,
    size,
)
from tf_embeddings_staging.conversion.tensors import open_tensors, require_float
from tf_embeddings_staging.errors import StagingError

if TYPE_CHECKING:
    import numpy as np

CONVERTER = 1
"""Counts up when the converter's numbers change: it is a part of a converted model's version."""

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")

AS_SAVED_MODEL = (
    "Choose another encoder, or stage a SavedModel of it: where transformers 4 has a TensorFlow "
    "class of it, that saves one, with save_pretrained(folder, saved_model=True)."
)
"""What to do with an encoder that cannot be converted."""

# Other spellings of an activation, and gated ones by what they put through the gate.
_ACTIVATION_NAMES = {"swiglu": "silu", "geglu": "gelu", "swish": "silu"}


def read_config(said: Fields, label: str) -> Architecture:
    """Validate the config.json of an encoder; `label` names it in messages.

    Raises:
        StagingError: it is of a different family, or has a part that the converter does not know.
    """
    model_type = said.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise StagingError(
            f"{label} says model_type {model_type!r}; the converter knows "
            f"{', '.join(map(repr, FAMILIES))}. {AS_SAVED_MODEL}"
        )
    for key, allowed in family.says.items():
        if (value := said.get(key, allowed)) != allowed and (value or allowed):
            raise StagingError(_says_more(key, value, allowed, label, str(model_type)))
    numbers = {
        name: size(_said(said, family, name), family.spelled.get(name, (name,))[0], label)
        for name in (
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "vocab_size",
        )
    }
    layer_count(numbers["num_hidden_layers"], label)
    segments = _said(said, family, "type_vocab_size") if "segments" in family.tensors else 0
    if "segments" in family.tensors:
        segments = size(segments, "type_vocab_size", label)
    activation = _said(said, family, "hidden_act")
    activation = _ACTIVATION_NAMES.get(str(activation), activation)
    if activation not in ACTIVATIONS:
        raise StagingError(
            f"{label} says {(family.spelled.get('hidden_act') or ('hidden_act',))[0]} "
            f"{activation!r}; the converter knows {', '.join(map(repr, ACTIVATIONS))}. "
            f"{AS_SAVED_MODEL}"
        )
    architecture = Architecture(
        **numbers,
        type_vocab_size=segments,
        layer_norm_eps=epsilon(_said(said, family, "layer_norm_eps"), label),
        hidden_act=str(activation),
        model_type=str(model_type),
        **family.switches(said, label),
    )
    if architecture.hidden_size % architecture.num_attention_heads:
        raise StagingError(
            f"{label} says hidden_size {architecture.hidden_size}, which its num_attention_heads "
            f"{architecture.num_attention_heads} does not divide. {AGAIN}"
        )
    if architecture.rotary and architecture.hidden_size // architecture.num_attention_heads % 2:
        raise StagingError(
            f"{label} says hidden_size {architecture.hidden_size} and num_attention_heads "
            f"{architecture.num_attention_heads}; rotary positions need heads of an even width. "
            f"{AGAIN}"
        )
    if architecture.most_tokens < 1:
        raise StagingError(
            f"{label} says max_position_embeddings {architecture.max_position_embeddings}, and its "
            f"first {architecture.first_position} positions are for padding. {AGAIN}"
        )
    return architecture


def _said(said: Fields, family: Family, name: str) -> Any:  # noqa: ANN401 - as JSON gives it
    for key in family.spelled.get(name, (name,)):
        if said.get(key) is not None:
            return said[key]
    return family.defaults.get(name)


def _says_more(key: str, value: object, allowed: object, label: str, model_type: str) -> str:
    if key in NO_EXTRAS_BECAUSE:
        return (
            f"{label} says {key}: {NO_EXTRAS_BECAUSE[key]}, and the converter knows the plain "
            f"{model_type} only. Stage a model without that, or a SavedModel of this one."
        )
    if key in NOT_A_DECODER:
        return (
            f"{label} says {key} true; the converter knows encoders only, in which each token "
            f"attends to the whole text. {AS_SAVED_MODEL}"
        )
    return f"{label} says {key} {value!r}; the converter knows {allowed!r}. {AS_SAVED_MODEL}"


@dataclass(frozen=True)
class _Source:
    """Where a tensor is: the one of this name, or one of its equal parts by rows."""

    name: str
    shape: tuple[int, ...]
    part: int = 0
    parts: int = 1

    @property
    def whole(self) -> tuple[int, ...]:
        """The shape of the whole tensor of this name."""
        return (self.shape[0] * self.parts, *self.shape[1:])


def read_weights(
    architecture: Architecture, paths: Sequence[Path], *, with_head: bool = False
) -> dict[str, np.ndarray]:
    """Read the encoder's tensors from one or several files, as float32 under the names we give.

    Args:
        architecture: what config.json says.
        paths: the files.
        with_head: whether the head of a cross-encoder, `pooler` and `classifier`, is needed too.

    Returns:
        `words.weight` [vocabulary, hidden], `layers.0.query.weight` [out, in], … as
        `transformer_graph` takes them.

    Raises:
        StagingError: a file is not a safetensors file, or a tensor is missing, unknown, or of
            the wrong shape or type.
    """
    import numpy as np

    family = FAMILIES[architecture.model_type]
    sources = dict(_sources(architecture, family))
    if with_head:
        sources |= _head(architecture, family)
    expected = {source.name: source.whole for source in sources.values()}
    tensors: dict[str, np.ndarray] = {}
    label = paths[0].name
    with ExitStack() as stack:
        places: dict[str, tuple[Any, str]] = {}
        for path in paths:
            file = stack.enter_context(open_tensors(path, path.name))
            for stored in file.keys():  # noqa: SIM118
                name = _plain_name(stored, family)
                if name in places:
                    raise StagingError(
                        f"'{path.name}' has {stored}, and {places[name][1]} is there too: both are "
                        f"{name}. Save the encoder again."
                    )
                places[name] = (file, stored)
        _check_names(places.keys(), expected, family, architecture.model_type, label)
        for name in sorted(expected):
            file, stored = places[name]
            part = file.get_slice(stored)
            require_float(label, name, part.get_dtype())
            shape = tuple(part.get_shape())
            if shape != expected[name]:
                raise StagingError(
                    f"'{label}' has {name} of shape {list(shape)}, and config.json asks "
                    f"for {list(expected[name])}. Do both come from the same model?"
                )
            tensors[name] = file.get_tensor(stored)
    return {
        ours: np.split(tensors[source.name], source.parts)[source.part].astype(np.float32)
        for ours, source in sources.items()
    }


def _plain_name(name: str, family: Family) -> str:
    """Return a tensor's name without a head's prefix, and with today's layer norm names."""
    for prefix in family.prefixes:
        name = name.removeprefix(prefix)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _check_names(
    names: Any,  # noqa: ANN401 - the keys of a map
    expected: Mapping[str, Any],
    family: Family,
    model_type: str,
    label: str,
) -> None:
    what = f"an encoder of the type '{model_type}' and the size in config.json"
    if missing := sorted(expected.keys() - names):
        raise StagingError(
            f"'{label}' lacks {missing[0]}{_and_more(missing)}, so it is not {what}. Download or "
            f"save the folder again."
        )
    unknown = sorted(name for name in names - expected.keys() if not name.startswith(family.unused))
    if unknown:
        raise StagingError(
            f"'{label}' has {unknown[0]}{_and_more(unknown)}, which {what} does not have. "
            f"{AS_SAVED_MODEL}"
        )


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _head(architecture: Architecture, family: Family) -> dict[str, _Source]:
    """Return where the parts of a cross-encoder's head are, which gives one score."""
    hidden = architecture.hidden_size
    gives = {"pooler": hidden, "classifier": 1}
    return {
        f"{ours}.{part}": _Source(f"{family.head[ours]}.{part}", shape)
        for ours, outputs in gives.items()
        for part, shape in (("weight", (outputs, hidden)), ("bias", (outputs,)))
    }


def _sources(architecture: Architecture, family: Family) -> Iterator[tuple[str, _Source]]:
    """Yield our name of each tensor, and where it is."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    tables = {
        "words": (architecture.vocab_size, hidden),
        "positions": (architecture.max_position_embeddings, hidden),
        "segments": (architecture.type_vocab_size, hidden),
        "relative": (architecture.relative_buckets, architecture.num_attention_heads),
    }
    for ours, name in family.tensors.items():
        yield f"{ours}.weight", _Source(f"{name}.weight", tables.get(ours, (hidden,)))
        if ours in family.biases:
            yield f"{ours}.bias", _Source(f"{name}.bias", (hidden,))
    shapes = {"inner": (inner, hidden), "gate": (inner, hidden), "outer": (hidden, inner)}
    for layer in range(architecture.num_hidden_layers):
        for ours, where in family.parts.items():
            if architecture.pre_norm and ours == "attended_norm" and layer == 0:
                continue  # the embeddings are normalized already
            name, part, parts = (where, 0, 1) if isinstance(where, str) else where
            shape = (hidden,) if ours in NORMS else shapes.get(ours, (hidden, hidden))
            name = f"{family.layer.format(layer)}{name}"
            yield f"layers.{layer}.{ours}.weight", _Source(f"{name}.weight", shape, part, parts)
            if ours in family.biases:
                bias = _Source(f"{name}.bias", shape[:1], part, parts)
                yield f"layers.{layer}.{ours}.bias", bias
