"""Small real models, and artifacts around them, made where a test needs them.

They take seconds, not a download: a WordPiece tokenizer trained on a few sentences, an encoder of
a few kilobytes whose vectors depend on every token and its place, a model of TensorFlow's string
operations, and a Keras one. Each is saved, packed and loaded as a user's model is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tf_embeddings_udf

if TYPE_CHECKING:
    from tf_embeddings_udf import Embedder

CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "a person is riding a horse on a sunny day",
    "how do i reset my password and where is my invoice",
    "съешь же ещё этих мягких французских булок",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "敏捷的棕色狐狸跳过了懒狗",
]

TOKENS_LIMIT = 16

Tensor = Any  # TensorFlow ships no types


@dataclass(frozen=True)
class Artifact:
    """An artifact in a stage folder."""

    path: Path
    model: str
    version: str
    build: str
    dimensions: int
    kind: str = "tokens"
    packages: tuple[str, ...] = ("ai-edge-litert", "numpy", "tokenizers")

    def pin(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "build": self.build,
            "dimensions": self.dimensions,
            "kind": self.kind,
            "packages": list(self.packages),
            "bytes": self.path.stat().st_size,
        }

    @property
    def stage(self) -> Path:
        return self.path.parents[2]

    @property
    def function(self) -> str:
        return f"tf_embeddings_{self.model}_{self.version}_{self.build}"


def save_tokenizer(path: Path, more_tokens: Sequence[str] = ()) -> int:
    """Save a WordPiece tokenizer of the corpus: its words and, for others, its letters.

    Its file asks for padding and truncation, as MiniLM's does. It is not trained: training breaks
    ties by the order of a hash table, so each run would make another model. Returns how many tokens
    it knows; `more_tokens` come after them.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    split = (splitter.pre_tokenize_str(normalizer.normalize_str(text)) for text in CORPUS)
    words = {word for pieces in split for word, _ in pieces}
    letters = {letter for word in words for letter in word}
    pieces = [*letters, *(f"##{letter}" for letter in letters), *words - letters]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(pieces)]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(names[:4])
    tokenizer.add_tokens(list(more_tokens))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(path))
    return len(names)


def save_tokens_model(
    folder: Path, *, dimensions: int = 8, seed: int = 7, breakable: bool = False
) -> dict[str, Any]:
    """Save an encoder of token ids; return its kind and parameters for the manifest.

    A vector is the mean over the tokens of sin(row of the token + 0.1 * place): bounded, different
    for each word order, and free of what padding adds.

    Two words break a model that is `breakable`: '<nan>' gives NaN, and '<outside>' has a token
    that the model has no row for, so that the model fails.
    """
    import numpy as np
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    more_tokens = ["<nan>", "<outside>"] if breakable else []
    known = save_tokenizer(folder / "tokenizer.json", more_tokens)

    class Encoder(tf.Module):
        def __init__(self) -> None:
            random = np.random.default_rng(seed)
            table = random.normal(size=(300, dimensions))
            if breakable:
                table = np.concatenate([table[:known], np.full((1, dimensions), np.nan)])
            self.table = tf.Variable(tf.constant(table, tf.float32))

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, name="input_ids"),
                tf.TensorSpec([None, None], tf.int32, name="attention_mask"),
            ]
        )
        def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
            shape = tf.shape(input_ids)
            weights = tf.reshape(tf.cast(attention_mask, tf.float32), [shape[0], shape[1], 1])
            places = tf.cast(tf.range(shape[1], dtype=tf.int32), tf.float32)
            places = tf.reshape(places, [1, shape[1], 1])
            states = tf.sin(tf.gather(self.table, input_ids) + 0.1 * places) * weights
            return {"embedding": tf.reduce_sum(states, 1) / tf.reduce_sum(weights, 1)}

    encoder = Encoder()
    tf.saved_model.save(encoder, str(folder), signatures={"serving_default": encoder.__call__})
    return {
        "kind": "tokens",
        "engine": "tensorflow",
        "dimensions": dimensions,
        "max_tokens": TOKENS_LIMIT,
        "encoder": {
            "signature": "serving_default",
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "token_type_ids": None,
            "output": "embedding",
            "tokenizer": "tokenizer.json",
            "max_tokens": TOKENS_LIMIT,
        },
        "packages": ["numpy", "tensorflow", "tokenizers"],
    }


def convert(
    saved: Path, parameters: Mapping[str, Any], target: Path
) -> tuple[Path, dict[str, Any]]:
    """Convert a saved model to LiteRT, as staging does; return its folder and its parameters."""
    from tf_embeddings_staging.conversion.litert import (
        compare_litert_task,
        convert_litert_task,
        litert_parameters,
    )
    from tf_embeddings_staging.model import packages_of

    with tempfile.TemporaryDirectory() as temporary:
        artifact = write_artifact(saved, parameters, Path(temporary))
        folder = Path(temporary) / "unpacked"
        with zipfile.ZipFile(artifact.path) as archive:
            archive.extractall(folder)
        (target / "model").mkdir(parents=True)
        tokenizer = parameters["encoder"].get("tokenizer") or parameters["encoder"]["sentencepiece"]
        (target / "model" / tokenizer).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(saved / tokenizer, target / "model" / tokenizer)
        request = {"folder": str(folder), "target": str(target)}
        assert convert_litert_task(request) == {}
        assert "texts" in compare_litert_task(request)
    return target / "model", {
        **parameters,
        "engine": "litert",
        "encoder": litert_parameters(parameters["encoder"]),
        "packages": list(packages_of(parameters["kind"], "litert")),
        "meaning": meaning_of(saved, parameters),
    }


def shortened(
    saved: tuple[Path, Mapping[str, Any]], dimensions: int
) -> tuple[Path, dict[str, Any]]:
    """Keep the first numbers of a model's vectors: another version, of another length."""
    folder, parameters = saved
    return folder, {
        **parameters,
        "dimensions": dimensions,
        "model_dimensions": parameters["dimensions"],
        "meaning": {
            **parameters["meaning"],
            "dimensions": dimensions,
            "model_dimensions": parameters["dimensions"],
        },
    }


def meaning_of(
    folder: Path, parameters: Mapping[str, Any], preprocessor: Path | None = None
) -> dict[str, Any]:
    """Return the meaning that an artifact of a saved model has."""
    files = {
        name.removeprefix("model/"): content for name, content in _files("model", folder).items()
    }
    if preprocessor:
        files |= _files("preprocessor", preprocessor)
    defaults = {"tags": ["serve"], "libraries": [], "pooling": None, "preprocessor": None}
    meaning = {
        "contract": 1,
        "kind": parameters["kind"],
        "encoder": {
            name: value
            for name, value in parameters["encoder"].items()
            if name not in defaults or value != defaults[name]
        },
        "normalize": parameters.get("normalize", True),
        "dimensions": parameters["dimensions"],
        "weights": {name: hashlib.sha256(each).hexdigest() for name, each in files.items()},
    }
    if parameters.get("prefix"):
        meaning["prefix"] = parameters["prefix"]
    if parameters.get("model_dimensions", parameters["dimensions"]) != parameters["dimensions"]:
        meaning["model_dimensions"] = parameters["model_dimensions"]
    return meaning


def save_text_model(
    folder: Path, *, rank: int = 1, ballast: Tensor | None = None
) -> dict[str, Any]:
    """Save a model that takes strings, and that some of them break.

    'number: x' fails where x is not a number; 'not a number' gives NaN; 'nothing' gives zeros;
    'huge' gives components whose squares no float32 holds. Other texts give their byte counts.
    `ballast` is a variable that makes the files larger.
    """
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.ballast = ballast

        @tf.function(input_signature=[tf.TensorSpec([None] * rank, tf.string, name="texts")])
        def __call__(self, texts: Tensor) -> dict[str, Tensor]:
            texts = tf.reshape(texts, [-1])
            is_number = tf.strings.regex_full_match(texts, "number: .*")
            numbers = tf.where(is_number, tf.strings.regex_replace(texts, "^number: ", ""), "0")
            lengths = tf.cast(tf.strings.length(texts), tf.float32)
            rows = tf.stack([lengths, tf.ones_like(lengths), tf.strings.to_number(numbers)], 1)
            rows = tf.where((texts == "not a number")[:, None], float("nan"), rows)
            rows = tf.where((texts == "nothing")[:, None], 0.0, rows)
            rows = tf.where((texts == "huge")[:, None], 1e30, rows)
            return {"embedding": rows}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.__call__})
    return text_parameters(rank=rank)


def save_keras_model(folder: Path) -> dict[str, Any]:
    """Save what a Keras user has: TextVectorization, an embedding, a pooling; `model.export`."""
    import keras

    keras.utils.set_random_seed(7)
    vectorize = keras.layers.TextVectorization(output_sequence_length=32)
    vectorize.adapt(CORPUS)
    texts = keras.Input(shape=(1,), dtype="string", name="texts")
    states = keras.layers.Embedding(vectorize.vocabulary_size(), 6)(vectorize(texts))
    model = keras.Model(texts, keras.layers.GlobalAveragePooling1D(name="vector")(states))
    model.export(str(folder), verbose=False)
    return text_parameters("output_0", rank=2, dimensions=6)


def write_artifact(
    model_folder: Path,
    parameters: Mapping[str, Any],
    stage: Path,
    *,
    model: str = "tiny",
    with_runtime: bool = False,
    golden: Mapping[str, Any] | None = None,
    preprocessor: Path | None = None,
    **overrides: object,
) -> Artifact:
    """Pack a saved model into a stage folder; `overrides` change fields of the manifest.

    With `with_runtime` the runtime is in the zip, as in every artifact that the CLI makes: a
    function of Snowflake imports it from there. `golden` is what golden.json holds; see
    `golden_of`; its vectors are lists of numbers here. `preprocessor` is the SavedModel that
    prepares the strings for the model.
    """
    weights = _files("model", model_folder)
    if preprocessor:
        weights |= _files("preprocessor", preprocessor)
    files = weights | (_runtime_files() if with_runtime else {})
    meaning = meaning_of(model_folder, {**parameters, **overrides}, preprocessor)
    manifest: dict[str, Any] = {
        "format": 3,
        "contract": 1,
        "model": model,
        "meaning": meaning,
        "engine": "tensorflow",
        "model_dimensions": parameters["dimensions"],
        "normalize": True,
        "prefix": "",
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
        **parameters,
        **overrides,
    }
    if "version" not in manifest:
        manifest["version"] = version_of(manifest["meaning"])
    if golden is not None:
        files["golden.json"] = json.dumps(_encoded(golden)).encode()
    return write_zip(stage, {"manifest.json": json.dumps(manifest).encode(), **files}, manifest)


def version_of(meaning: Mapping[str, Any]) -> str:
    """Return the version of a meaning, by the rule that design and README state."""
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "v" + hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _encoded(golden: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **golden,
        "vectors": [
            vector and base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            for vector in golden["vectors"]
        ],
    }


def copied(artifact: Artifact, stage: Path) -> Artifact:
    """Copy an artifact to another stage folder."""
    path = stage / artifact.path.relative_to(artifact.stage)
    path.parent.mkdir(parents=True)
    shutil.copyfile(artifact.path, path)
    return replace(artifact, path=path)


def with_golden(artifact: Artifact, texts: Sequence[str] = CORPUS) -> Artifact:
    """Add the golden vectors that its model gives, which decide nothing of its build."""
    with tempfile.TemporaryDirectory() as cache:
        folder = tf_embeddings_udf.unpack(
            artifact.path, Path(cache), model=artifact.model, build=artifact.build
        )
        golden = _encoded(golden_of(tf_embeddings_udf.load(folder), texts))
    with zipfile.ZipFile(artifact.path, "a") as archive:
        archive.writestr(_entry("golden.json"), json.dumps(golden))
    return artifact


def golden_of(embedder: Embedder, texts: Sequence[str]) -> dict[str, Any]:
    """Return what golden.json holds of texts that all have a vector."""
    outcomes = embedder.embed(texts)
    assert outcomes.valid.all()
    counts = outcomes.token_counts.tolist() if outcomes.counted.all() else [None] * len(texts)
    return {
        "texts": list(texts),
        "vectors": outcomes.embeddings.tolist(),
        "token_counts": counts,
    }


def _files(part: str, folder: Path) -> dict[str, bytes]:
    return {
        f"{part}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "fingerprint.pb"
    }


def _runtime_files() -> dict[str, bytes]:
    folder = Path(tf_embeddings_udf.__file__ or "").parent
    return {
        f"tf_embeddings_udf/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*.py"))
    }


def write_zip(stage: Path, entries: Mapping[str, bytes], manifest: Mapping[str, Any]) -> Artifact:
    """Write entries as they are, under the name that the manifest and its bytes give."""
    stage.mkdir(parents=True, exist_ok=True)
    unnamed = stage / "unnamed.zip"
    with zipfile.ZipFile(unnamed, "w") as archive:
        for name, content in entries.items():
            archive.writestr(_entry(name), content)
    build = "b" + hashlib.sha256(entries["manifest.json"]).hexdigest()[:12]
    model, version = str(manifest["model"]), str(manifest["version"])
    path = stage / model / version / f"{model}-{build}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    unnamed.replace(path)
    return Artifact(
        path,
        model,
        version,
        build,
        manifest["dimensions"],
        manifest["kind"],
        tuple(manifest["packages"]),
    )


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def text_parameters(
    output: str = "embedding", *, rank: int = 1, dimensions: int = 3
) -> dict[str, Any]:
    """Return the kind and parameters of a model that takes strings; by default of the small one."""
    return {
        "kind": "text",
        "engine": "tensorflow",
        "dimensions": dimensions,
        "max_tokens": None,
        "encoder": {
            "signature": "serving_default",
            "input": "texts",
            "rank": rank,
            "output": output,
        },
        "packages": ["numpy", "tensorflow"],
    }


def content_of(artifact: Path) -> dict[str, Any]:
    """Return what is in an artifact, by name, but for what was measured."""
    with zipfile.ZipFile(artifact) as archive:
        names = set(archive.namelist()) - {"golden.json"}
        return {name: archive.read(name) for name in names}
