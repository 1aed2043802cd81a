"""The families of transformer encoders: how each spells what all have.

A new family is one entry in `FAMILIES`; if it differs in more than names, a switch in
`Architecture`, which `transformer_graph` follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tf_embeddings_staging.errors import StagingError

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """The numbers and switches that decide about a vector, beside the weights.

    Attributes:
        max_position_embeddings: rows of the table of positions; with rotary positions, the most
            tokens that the encoder was trained for.
        first_position: the row of the first token's position.
        relative_buckets: rows of a table of relative positions that all layers share; 0 for none.
        pre_norm: whether a layer normalizes what it takes, instead of what it gives.
        rotary: the base of each layer's rotary positions; empty where positions are a table.
        windows: how far to either side each layer attends; 0: to all tokens. Empty: all to all.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    vocab_size: int
    type_vocab_size: int
    layer_norm_eps: float
    hidden_act: str
    model_type: str = "bert"
    first_position: int = 0
    relative_buckets: int = 0
    pre_norm: bool = False
    rotary: tuple[float, ...] = ()
    windows: tuple[int, ...] = ()

    @property
    def most_tokens(self) -> int:
        """The most tokens that there are positions for."""
        return self.max_position_embeddings - self.first_position

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as they go into the version: what all have, and what is set."""
        defaults = {one.name: one.default for one in fields(self)}
        kept = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != defaults[name]
        }
        return {**kept, "model_type": self.model_type}


@dataclass(frozen=True)
class Family:
    """How a family of encoders spells what all have.

    Attributes:
        spelled: our name of a number -> its names in config.json, if it is not the same one.
        says: what config.json must say where it says anything: key -> the allowed value.
        switches: the architecture's switches, from config.json.
        prefixes: what a tensor's name may begin with.
        tensors: our name of a tensor outside the layers -> its name.
        layer: the beginning of the names in a layer, with its number as {}.
        parts: our name of a part of a layer -> its name, or (name, index, number of equal parts)
            where several stand in one tensor.
        biases: the parts that have a bias, norms included.
        head: our name of a part of a cross-encoder's head -> its name; empty where the head has
            other parts than a layer with tanh over the first token, and a classifier.
        unused: beginnings of the names of tensors that no sentence's vector depends on.
        defaults: what config.json may leave out.
    """

    tensors: Mapping[str, str]
    layer: str
    parts: Mapping[str, str | tuple[str, int, int]]
    biases: frozenset[str]
    prefixes: Sequence[str] = ()
    spelled: Mapping[str, Sequence[str]] = field(default_factory=dict)
    says: Mapping[str, object] = field(default_factory=dict)
    switches: Callable[[Fields, str], dict[str, Any]] = lambda said, label: {}
    head: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ("pooler.", "cls.", "embeddings.position_ids")
    defaults: Mapping[str, Any] = field(default_factory=dict)


AGAIN = "Download or save the folder again."

_MOST_LAYERS = 1_000
_LARGEST = 1e15  # of the base of rotary positions
_LONGEST_SHOWN = 60

NOT_A_DECODER = {"is_decoder": False, "is_causal": False, "add_cross_attention": False}
NO_EXTRAS_BECAUSE = {
    "auto_map": "code of the model's own computes it, which never runs here",
    "quantization_config": "its weights are quantized",
}
NO_EXTRAS = dict.fromkeys(NO_EXTRAS_BECAUSE)
NORMS = ("attended_norm", "outer_norm")
_DENSE = ("query", "key", "value", "attended", "inner", "outer")
_ALL = frozenset({"embedding_norm", *_DENSE, *NORMS})

_BERT = Family(
    prefixes=("bert.",),
    tensors={
        "words": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "segments": "embeddings.token_type_embeddings",
        "embedding_norm": "embeddings.LayerNorm",
    },
    layer="encoder.layer.{}.",
    parts={
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attended": "attention.output.dense",
        "attended_norm": "attention.output.LayerNorm",
        "inner": "intermediate.dense",
        "outer": "output.dense",
        "outer_norm": "output.LayerNorm",
    },
    biases=_ALL,
    says={"position_embedding_type": "absolute", **NOT_A_DECODER, **NO_EXTRAS},
    head={"pooler": "pooler.dense", "classifier": "classifier"},
    defaults={"hidden_act": "gelu", "layer_norm_eps": 1e-12},
)


def _after_padding(fields: Fields, label: str) -> dict[str, Any]:
    """Positions that begin after the padding's id, as RoBERTa counts them."""
    padding = fields.get("pad_token_id", 1)
    if type(padding) is int and padding >= 0:
        return {"first_position": padding + 1}
    raise StagingError(
        f"{label} says pad_token_id {padding!r}, not a whole number of at least 0. {AGAIN}"
    )


_ROBERTA = Family(
    prefixes=("roberta.", "camembert."),
    tensors=_BERT.tensors,
    layer=_BERT.layer,
    parts=_BERT.parts,
    biases=_ALL,
    says=_BERT.says,
    switches=_after_padding,
    head={"pooler": "classifier.dense", "classifier": "classifier.out_proj"},
    unused=(*_BERT.unused, "lm_head.", "classifier."),
    defaults={**_BERT.defaults, "type_vocab_size": 1},
)


def _mpnet(fields: Fields, label: str) -> dict[str, Any]:
    key = "relative_attention_num_buckets"
    if (buckets := fields.get(key, 32)) != 32:  # transformers computes with 32, whatever it says
        raise StagingError(
            f"{label} says {key} {shown(buckets)}; the converter knows 32. Use the encoder with "
            f"Sentence Transformers."
        )
    # MPNet's own code does not read pad_token_id here.
    return {"first_position": 2, "relative_buckets": buckets}


_MPNET = Family(
    prefixes=("mpnet.",),
    tensors={
        "words": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "embedding_norm": "embeddings.LayerNorm",
        "relative": "encoder.relative_attention_bias",
    },
    layer="encoder.layer.{}.",
    parts={
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "attended": "attention.attn.o",
        "attended_norm": "attention.LayerNorm",
        "inner": "intermediate.dense",
        "outer": "output.dense",
        "outer_norm": "output.LayerNorm",
    },
    biases=_ALL,
    says=NO_EXTRAS,
    switches=_mpnet,
    unused=(*_BERT.unused, "lm_head.", "classifier."),
    defaults={**_BERT.defaults, "type_vocab_size": 0},
)

_DISTILBERT = Family(
    prefixes=("distilbert.",),
    spelled={
        "hidden_size": ("dim",),
        "num_hidden_layers": ("n_layers",),
        "num_attention_heads": ("n_heads",),
        "intermediate_size": ("hidden_dim",),
        "hidden_act": ("activation",),
        # transformers reads no epsilon.
        "layer_norm_eps": (),
    },
    tensors={
        "words": "embeddings.word_embeddings",
        "positions": "embeddings.position_embeddings",
        "embedding_norm": "embeddings.LayerNorm",
    },
    layer="transformer.layer.{}.",
    parts={
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attended": "attention.out_lin",
        "attended_norm": "sa_layer_norm",
        "inner": "ffn.lin1",
        "outer": "ffn.lin2",
        "outer_norm": "output_layer_norm",
    },
    biases=_ALL,
    says={"is_causal": False, **NO_EXTRAS},
    unused=("embeddings.position_ids", "vocab_", "pre_classifier.", "classifier."),
    defaults={**_BERT.defaults, "type_vocab_size": 0},
)


def _modernbert(fields: Fields, label: str) -> dict[str, Any]:
    """Layers that attend to all tokens, and layers of a window between them."""
    layers = layer_count(fields.get("num_hidden_layers"), label)
    every = size(fields.get("global_attn_every_n_layers", 3), "global_attn_every_n_layers", label)
    types = fields.get("layer_types") or [
        "sliding_attention" if layer % every else "full_attention" for layer in range(layers)
    ]
    known = {"full_attention", "sliding_attention"}
    if not isinstance(types, list) or len(types) != layers or not set(types) <= known:
        raise StagingError(
            f"{label} says layer_types {types!r}; the converter knows {' and '.join(sorted(known))}"
            f", one for each of its {layers} layers. {AGAIN}"
        )
    local = size(fields.get("local_attention", 128), "local_attention", label)
    if (window := local // 2) < 1:
        raise StagingError(f"{label} says local_attention {local}; it must be at least 2. {AGAIN}")
    if (sliding := fields.get("sliding_window")) not in (None, window):
        raise StagingError(
            f"{label} says sliding_window {shown(sliding)}, and local_attention {local}, half of "
            f"which it must be. {AGAIN}"
        )
    bases = {
        "full_attention": fields.get("global_rope_theta", 160_000.0),
        "sliding_attention": fields.get("local_rope_theta", 10_000.0),
    }
    for kind, said in (fields.get("rope_parameters") or {}).items():
        if kind in bases:
            bases[kind] = _rotary_base(said, bases[kind], label)
    return {
        "pre_norm": True,
        "rotary": tuple(positive(bases[kind], "rope_theta", label) for kind in types),
        "windows": tuple(window if kind == "sliding_attention" else 0 for kind in types),
    }


def _rotary_base(said: object, default: float, label: str) -> float:
    """Return the base that transformers 5 writes as rope_parameters."""
    if isinstance(said, dict) and said.get("rope_type", "default") == "default":
        return said.get("rope_theta", default)
    raise StagingError(
        f"{label} says rope_parameters {said!r}; the converter knows the rope_type 'default'. Use "
        f"the encoder with Sentence Transformers."
    )


_MODERNBERT = Family(
    prefixes=("model.",),
    spelled={"hidden_act": ("hidden_activation",), "layer_norm_eps": ("norm_eps",)},
    tensors={
        "words": "embeddings.tok_embeddings",
        "embedding_norm": "embeddings.norm",
        "final_norm": "final_norm",
    },
    layer="layers.{}.",
    parts={
        "query": ("attn.Wqkv", 0, 3),
        "key": ("attn.Wqkv", 1, 3),
        "value": ("attn.Wqkv", 2, 3),
        "attended": "attn.Wo",
        "attended_norm": "attn_norm",
        "inner": ("mlp.Wi", 0, 2),
        "gate": ("mlp.Wi", 1, 2),
        "outer": "mlp.Wo",
        "outer_norm": "mlp_norm",
    },
    biases=frozenset(),
    says={
        "attention_bias": False,
        "mlp_bias": False,
        "norm_bias": False,
        "rope_scaling": None,
        "is_causal": False,
        **NO_EXTRAS,
    },
    switches=_modernbert,
    unused=("head.", "decoder.", "classifier."),
    defaults={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "type_vocab_size": 0},
)


def _nomic(fields: Fields, label: str) -> dict[str, Any]:
    layers = next((fields[key] for key in ("num_hidden_layers", "n_layer") if key in fields), None)
    base = fields.get("rotary_emb_base", 1000.0)
    if "rope_parameters" in fields:
        base = _rotary_base(fields["rope_parameters"], base, label)
    count = layer_count(layers, label)
    return {"rotary": (positive(base, "rotary_emb_base", label),) * count}


_NOMIC = Family(
    prefixes=("bert.",),
    spelled={
        "hidden_size": ("hidden_size", "n_embd"),
        "num_hidden_layers": ("num_hidden_layers", "n_layer"),
        "num_attention_heads": ("num_attention_heads", "n_head"),
        "intermediate_size": ("intermediate_size", "n_inner"),
        # Beyond what it was trained for, its own code scales the rotary positions.
        "max_position_embeddings": (
            *("max_trained_positions", "max_position_embeddings", "n_positions"),
        ),
        "layer_norm_eps": ("layer_norm_eps", "layer_norm_epsilon"),
        "hidden_act": ("hidden_act", "activation_function"),
    },
    tensors={
        "words": "embeddings.word_embeddings",
        "segments": "embeddings.token_type_embeddings",
        "embedding_norm": "emb_ln",
    },
    layer="encoder.layers.{}.",
    parts={
        "query": ("attn.Wqkv", 0, 3),
        "key": ("attn.Wqkv", 1, 3),
        "value": ("attn.Wqkv", 2, 3),
        "attended": "attn.out_proj",
        "attended_norm": "norm1",
        "inner": "mlp.fc12",
        "gate": "mlp.fc11",
        "outer": "mlp.fc2",
        "outer_norm": "norm2",
    },
    biases=frozenset({"embedding_norm", *NORMS}),
    says={
        "causal": False,
        "is_causal": False,
        "rope_scaling": None,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "moe_every_n_layers": 0,
        "parallel_block": False,
        "prenorm": False,
        "qkv_proj_bias": False,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None,
        "use_rms_norm": False,
        "quantization_config": None,
    },
    switches=_nomic,
    defaults={"layer_norm_eps": 1e-12},
)

FAMILIES: Mapping[str, Family] = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "modernbert": _MODERNBERT,
    "mpnet": _MPNET,
    "nomic_bert": _NOMIC,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
"""The families of encoders that can be converted, by config.json's model_type."""


def size(value: object, name: str, label: str) -> int:
    """Return a value that must be a whole number of at least 1, and fit 32 bits."""
    if type(value) is int and 0 < value < 2**31:
        return value
    raise StagingError(
        f"{label} says {name} {shown(value)}, not a whole number of at least 1 and below 2**31. "
        f"{AGAIN}"
    )


def layer_count(value: object, label: str) -> int:
    """Return how many layers there are: no encoder has thousands."""
    if (count := size(value, "num_hidden_layers", label)) <= _MOST_LAYERS:
        return count
    raise StagingError(
        f"{label} says num_hidden_layers {count}; the converter knows at most {_MOST_LAYERS}. "
        f"{AGAIN}"
    )


def shown(value: object) -> str:
    """Return a value as a message has it, however long it is."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def positive(value: object, name: str, label: str) -> float:
    """Return a value that must be a number above 0."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LARGEST:
        return float(value)
    raise StagingError(
        f"{label} says {name} {shown(value)}, not a number above 0 and below {_LARGEST:.0e}. "
        f"{AGAIN}"
    )


def epsilon(value: object, label: str) -> float:
    """Return layer_norm_eps, which must be a number between 0 and 1."""
    if isinstance(value, int | float) and 0 < value < 1:
        return float(value)
    raise StagingError(
        f"{label} says layer_norm_eps {shown(value)}, not a number between 0 and 1. {AGAIN}"
    )
