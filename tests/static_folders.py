"""Folders of small random static encoders: the same tables wherever they are made.

`record_static.py` makes them where Model2Vec and Sentence Transformers are installed, and records
what these give; the tests make them again and compare.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

DIMENSIONS = 8
UNKNOWN = "[UNK]"
# A golden text of staging has one of these at least, so that it has a vector.
WORDS = """the a cat dog bird sat ran flew on under over mat hill and or but not my card was lost
found where is when who . query: elephant how old are you quick brown fox jumps lazy at market der
завтра мы σήμερα η سنسافر غدا מחר ניסע कल हम 明日は海へ行きます。 내일 我们明天去海边。 3.14159
""".split()  # noqa: SIM905
TEXTS = [
    "the cat sat on the mat .",
    "Where is my CARD",
    "dog",
    "the zebra sat on a xylophone",
    "unheard words nowhere",
    "",
    " \t\n",
    "cat " * 300 + "dog dog dog " * 100,
    # Unknown tokens before the limit: it matters whether they are dropped before the cut or after.
    "z " * 300 + "a " * 300 + "dog " * 100,
    # Few tokens, and more characters than 512 times the median of a token's.
    "cat " + "z" * 4000 + " dog",
    " ".join(WORDS * 30),
]
"""What is recorded; the last one has more tokens than the runtime sums up at once."""

TANH, IDENTITY = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"


@dataclass(frozen=True)
class Case:
    """One encoder, and whose way of reading it is recorded.

    Attributes:
        by: `model2vec`, `model2vec-0.9` or `sentence-transformers`.
        layout: where the table is: `own`, `beside` config_sentence_transformers.json, `nested` in
            0_StaticEmbedding, `modules` with a modules.json, or `bare` with no word of its use.
        type: of the table.
        extras: which of `mapping` and `weights` there are.
        unigram: whether the tokenizer is a Unigram, or else knows words only.
        normalize: whether vectors are scaled.
        settings: what the folder's config says beside that.
        truncation: that of tokenizer.json.
        dense: in, out, activation and bias of each Dense.
        prompt: the default prompt.
        rule: what --static-rule says, where the folder does not.
        beside: files that say otherwise than tokenizer.json, and which no library reads.
        truncate_dim: how many numbers the settings keep.
    """

    by: str = "model2vec"
    layout: str = "own"
    type: str = "float32"
    extras: Mapping[str, str] = field(default_factory=dict)
    unigram: bool = False
    normalize: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    truncation: Mapping[str, Any] | None = None
    dense: tuple[tuple[int, int, str, bool], ...] = ()
    prompt: str | None = None
    rule: str | None = None
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    truncate_dim: int | None = None


_CUT = {"max_length": 6, "strategy": "LongestFirst", "stride": 0}

_UNREAD = {
    "tokenizer_config.json": {
        **{"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True},
        **{"truncation_side": "left", "model_max_length": 3, "unk_token": "dog"},
    },
    "special_tokens_map.json": {"unk_token": "cat"},
    "added_tokens.json": {"the cat": 3},
    "sentence_bert_config.json": {"max_seq_length": 2, "do_lower_case": True},
}

CASES = {
    "own": Case(),
    "own_beside_settings": Case(beside=_UNREAD),
    "own_float16": Case(type="float16", normalize=False),
    "own_int8": Case(type="int8"),
    "own_weights": Case(extras={"weights": "float64"}, normalize=False),
    "own_int8_weights": Case(type="int8", extras={"weights": "float32"}),
    "own_mapping": Case(extras={"mapping": "int64"}, normalize=False),
    "own_quantized_unigram": Case(
        type="int8", extras={"mapping": "int32", "weights": "float32"}, unigram=True
    ),
    "own_unigram": Case(unigram=True),
    "own_short": Case(settings={"max_length": 7}),
    "own_without_limit": Case(settings={"max_length": None}),
    "own_truncating_tokenizer": Case(truncation={"direction": "Left", **_CUT}),
    "beside": Case(layout="beside"),
    "nested": Case(layout="nested", normalize=False),
    "old": Case(by="model2vec-0.9", rule="model2vec-0.9"),
    "old_unigram": Case(by="model2vec-0.9", rule="model2vec-0.9", unigram=True),
    "modules": Case(by="sentence-transformers", layout="modules"),
    "modules_not_scaled": Case(by="sentence-transformers", layout="modules", normalize=False),
    "modules_unigram": Case(by="sentence-transformers", layout="modules", unigram=True),
    "modules_left": Case(
        by="sentence-transformers", layout="modules", truncation={"direction": "Left", **_CUT}
    ),
    "modules_right": Case(
        by="sentence-transformers", layout="modules", truncation={"direction": "Right", **_CUT}
    ),
    "modules_dense": Case(
        by="sentence-transformers",
        layout="modules",
        dense=((8, 6, IDENTITY, True), (6, 5, TANH, True)),
        normalize=False,
    ),
    "modules_beside_settings": Case(by="sentence-transformers", layout="modules", beside=_UNREAD),
    "modules_truncated": Case(
        by="sentence-transformers", layout="modules", normalize=False, truncate_dim=5
    ),
    "modules_prompt": Case(by="sentence-transformers", layout="modules", prompt="query: "),
    "own_read_as_modules": Case(
        by="sentence-transformers",
        extras={"mapping": "int64", "weights": "float32"},
        rule="sentence-transformers",
    ),
    "bare": Case(
        by="sentence-transformers",
        layout="bare",
        type="float16",
        normalize=False,
        rule="sentence-transformers",
    ),
}


def make(folder: Path, name: str, *, as_float32: bool = False, as_modules: bool = False) -> Path:
    """Write a case as its library saves it.

    Args:
        folder: where.
        name: of the case.
        as_float32: write a float16 table as float32: the same numbers, for a library that would
            compute in float16.
        as_modules: write `bare` with a modules.json, so that a library can load it.
    """
    case = CASES[name]
    layout = "modules" if as_modules and case.layout == "bare" else case.layout
    place = folder / "0_StaticEmbedding" if layout == "nested" else folder
    place.mkdir(parents=True)
    vocabulary = _vocabulary(case.unigram)
    _write(place / "tokenizer.json", tokenizer(case))
    tensors = tables(case, len(vocabulary))
    if as_float32 and case.type == "float16":
        tensors = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    if layout != "own":
        tensors["embedding.weight"] = tensors.pop("embeddings")
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    says = {"normalize": case.normalize, **case.settings}
    if layout == "own":
        _write(folder / "config.json", {"model_type": "model2vec", **says})
    if layout in ("beside", "nested"):
        _write(folder / "config_sentence_transformers.json", says)
    if layout == "modules" and (case.prompt or case.truncate_dim):
        prompts = {"prompts": {"query": case.prompt}, "default_prompt_name": "query"}
        kept = {"truncate_dim": case.truncate_dim}
        _write(
            folder / "config_sentence_transformers.json",
            {**(prompts if case.prompt else {}), **kept},
        )
    for other, content in case.beside.items():
        _write(place / other, content)
    if layout in ("own", "modules"):
        _write_modules(folder, case)
    return folder


def tables(case: Case, tokens: int) -> dict[str, np.ndarray]:
    """Return the tensors of a case, under Model2Vec's names."""
    rows = tokens // 2 if "mapping" in case.extras else tokens
    values = _random("embeddings", (rows, DIMENSIONS))
    scaled = np.rint(values * 40).clip(-127, 127) if case.type == "int8" else values
    made = {"embeddings": scaled.astype(case.type)}
    if kind := case.extras.get("mapping"):
        made["mapping"] = (np.arange(tokens) * 7 % rows).astype(kind)
    if kind := case.extras.get("weights"):
        made["weights"] = np.abs(_random("weights", (tokens,)) + 0.1).astype(kind)
    return made


def tokenizer(case: Case) -> dict[str, Any]:
    """Return a tokenizer.json of words, or of pieces of words; special tokens would be added."""
    vocabulary = _vocabulary(case.unigram)
    ids = {token: place for place, token in enumerate(vocabulary)}
    template = [
        {"SpecialToken": {"id": UNKNOWN, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    if case.unigram:
        pieces = [[token, -1.0 - len(token) / 50] for token in vocabulary]
        model = {"type": "Unigram", "unk_id": 1, "vocab": pieces, "byte_fallback": False}
        splits = [{"type": "WhitespaceSplit"}, _METASPACE]
        before: dict[str, Any] = {"type": "Sequence", "pretokenizers": splits}
    else:
        model = {"type": "WordLevel", "vocab": ids, "unk_token": UNKNOWN}
        before = {"type": "WhitespaceSplit"}
    return {
        "version": "1.0",
        "truncation": case.truncation,
        # Model2Vec up to 0.9 pads, and takes the padding for a token; the others do not.
        "padding": None
        if case.by == "model2vec-0.9"
        else {
            **{"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None},
            **{"pad_id": 0, "pad_type_id": 0, "pad_token": vocabulary[0]},
        },
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": before,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": template,
            "special_tokens": {
                UNKNOWN: {"id": UNKNOWN, "ids": [ids[UNKNOWN]], "tokens": [UNKNOWN]}
            },
        },
        "decoder": None,
        "model": model,
    }


_METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def _vocabulary(unigram: bool) -> list[str]:
    if unigram:
        return ["[PAD]", UNKNOWN, "▁", *dict.fromkeys(f"▁{word}" for word in WORDS), *"abcdest"]
    return ["[PAD]", UNKNOWN, *dict.fromkeys(WORDS)]


def _random(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(name.encode())).normal(0, 1, shape)


def _write_modules(folder: Path, case: Case) -> None:
    kinds = ["StaticEmbedding", *["Dense"] * len(case.dense), *["Normalize"] * case.normalize]
    paths = ["" if not place else f"{place}_{kind}" for place, kind in enumerate(kinds)]
    for path, (takes, gives, activation, bias) in zip(paths[1:], case.dense, strict=False):
        (folder / path).mkdir()
        says = {"in_features": takes, "out_features": gives, "bias": bias}
        _write(folder / path / "config.json", {**says, "activation_function": activation})
        weights = {"linear.weight": _random(f"{path}.weight", (gives, takes)) * 0.3}
        weights |= {"linear.bias": _random(f"{path}.bias", (gives,)) * 0.3} if bias else {}
        as_float32 = {name: values.astype(np.float32) for name, values in weights.items()}
        save_file(as_float32, folder / path / "model.safetensors", metadata={"format": "pt"})
    listed = [
        {
            **{"idx": place, "name": str(place), "path": path},
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    _write(folder / "modules.json", listed)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
