"""Small BERT folders with random weights, and what BERT is, in NumPy: the converter's oracle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import makers
import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

HIDDEN, INNER, LAYERS, HEADS, POSITIONS = 24, 40, 2, 3, 32

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Folder:
    """A sentence encoder's folder, and its weights as float32 under their plain names."""

    path: Path
    tensors: Tensors
    pooling: str
    activation: str

    def edit(self, name: str, **fields: object) -> None:
        """Set fields of one of its JSON files; None removes a field."""
        file = self.path / name
        content = json.loads(file.read_text()) if file.is_file() else {}
        content = {**content, **fields}
        write_json(file, {key: value for key, value in content.items() if value is not None})


def make_folder(
    path: Path,
    *,
    pooling: str = "cls",
    normalize: bool = False,
    activation: str = "gelu",
    dtype: str = "float32",
    prefix: str = "",
) -> Folder:
    """Save a BERT of random weights as Sentence Transformers does."""
    path.mkdir(parents=True)
    makers.save_tokenizer(path / "tokenizer.json")
    vocabulary = json.loads((path / "tokenizer.json").read_text())["model"]["vocab"]
    config = {
        "model_type": "bert",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "vocab_size": len(vocabulary),
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-6,
        "hidden_act": activation,
    }
    write_json(path / "config.json", config)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    modules = [
        {
            "idx": idx,
            "path": f"{idx}_{kind}" if idx else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for idx, kind in enumerate(kinds)
    ]
    write_json(path / "modules.json", modules)
    flags = {
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
    }
    write_json(path / "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, **flags})
    write_json(path / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False})

    stored = {
        name: tensor.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        for name, tensor in _random_tensors(len(vocabulary)).items()
    }
    unused = {"pooler.dense.weight": np.ones((HIDDEN, HIDDEN), np.float32)}
    save_file(
        {f"{prefix}{name}": tensor for name, tensor in {**stored, **unused}.items()},
        path / "model.safetensors",
    )
    tensors = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    return Folder(path, tensors, pooling, activation)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def embed_in_numpy(folder: Folder, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the pooled vectors, in float64, one row and one head at a time; no tricks."""
    return np.stack(
        [
            _embed_row(folder, row[: int(length)])
            for row, length in zip(ids, mask.sum(1), strict=True)
        ]
    )


def _embed_row(folder: Folder, ids: np.ndarray) -> np.ndarray:
    weights = {name: tensor.astype(np.float64) for name, tensor in folder.tensors.items()}

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centered = x - x.mean(1, keepdims=True)
        unit = centered / np.sqrt(x.var(1, keepdims=True) + 1e-6)
        return unit * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(x, "embeddings.LayerNorm")
    width = HIDDEN // HEADS
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            dense(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")
        )
        mixed = np.empty_like(x)
        for head in range(HEADS):
            own = slice(head * width, (head + 1) * width)
            scores = np.exp(query[:, own] @ key[:, own].T / math.sqrt(width))
            mixed[:, own] = scores / scores.sum(1, keepdims=True) @ value[:, own]
        x = norm(
            x + dense(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm"
        )
        inner = _ACTIVATIONS[folder.activation](dense(x, f"{name}.intermediate.dense"))
        x = norm(x + dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x[0] if folder.pooling == "cls" else x.mean(0)


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * np.vectorize(lambda one: 0.5 * (1 + math.erf(one / math.sqrt(2))))(x)


def _gelu_new(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


_ACTIVATIONS: Mapping[str, Any] = {
    "gelu": _gelu,
    "gelu_new": _gelu_new,
    "relu": lambda x: np.maximum(x, 0),
}


def _random_tensors(vocabulary: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        for name, shape in {
            "attention.self.query": (HIDDEN, HIDDEN),
            "attention.self.key": (HIDDEN, HIDDEN),
            "attention.self.value": (HIDDEN, HIDDEN),
            "attention.output.dense": (HIDDEN, HIDDEN),
            "attention.output.LayerNorm": (HIDDEN,),
            "intermediate.dense": (INNER, HIDDEN),
            "output.dense": (HIDDEN, INNER),
            "output.LayerNorm": (HIDDEN,),
        }.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
    return {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
