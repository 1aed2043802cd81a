"""Static encoders with real weights: the numbers that were published of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import static_folders
import tf_embeddings_udf
from safetensors.numpy import save_file
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.cache import cache_folder
from tf_embeddings_staging.catalogue import catalogue
from tf_embeddings_staging.fetching.fetch import materialize
from tf_embeddings_staging.options import Limits
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local, PythonPackage, Source
from tf_embeddings_udf import Embedder

RECORDED = Path(__file__).parent / "fixtures" / "model2vec_rs.json"
WORDLLAMA = catalogue()["wordllama"]

# A Model2Vec folder: int8 [10000, 64], mapping, weights, a Unigram. It states no license: it is for
# tests only, and no model of the catalogue.
TOKENLEARN = PythonPackage(
    "tokenlearn-static-model==0.1.1",
    "6ba4a2b1b4394023910f90bde6a408542e8c52b4aed00f2718685c217b2b2112",
    "static_model/model",
)

# What Model2Vec 0.10.0 gives for it: the first numbers of each vector, and the tokens.
TOKENLEARN_GIVES: dict[str, tuple[list[float], int]] = {
    "The weather is lovely today.": ([-0.1769078, -0.0841165, -0.0217139], 6),
    "Das Wetter ist heute schön.": ([-0.3010608, -0.1328574, 0.0027338], 6),
    "明日は海へ行きます。": ([-0.6069451, -0.175475, -0.1045488], 8),
    "one . two . three": ([-0.3754504, -0.2643494, -0.2204792], 7),
}


def embedder_of(source: Source, name: str, tmp_path: Path) -> Embedder:
    artifact = build(source, name, cache_folder(), Report())
    unpacked = tf_embeddings_udf.unpack(
        artifact.path, tmp_path / "unpacked", model=artifact.model, build=artifact.build
    )
    return tf_embeddings_udf.load(unpacked)


def test_wordllama_gives_its_published_scores(tmp_path: Path) -> None:
    embedder = embedder_of(WORDLLAMA, "wordllama", tmp_path)
    assert WORDLLAMA.known
    for one, other, cosine in WORDLLAMA.known.cosines:
        a, b = embedder.embed([one, other]).embeddings
        came = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        assert came == pytest.approx(cosine, abs=1e-4)
    lengths = np.linalg.norm(embedder.embed(["Machine learning methods"]).embeddings, axis=1)
    assert abs(lengths[0] - 1) > 0.1  # it is not normalized
    assert (embedder.manifest.kind, embedder.manifest.engine) == ("static", "litert")


def test_a_model2vec_folder_gives_what_model2vec_gives(tmp_path: Path) -> None:
    fetched = materialize(TOKENLEARN, cache_folder(), Report(), Limits(), None)
    embedder = embedder_of(Local(fetched.path), "tokenlearn", tmp_path)
    outcomes = embedder.embed([*TOKENLEARN_GIVES])
    for row, (first, count) in enumerate(TOKENLEARN_GIVES.values()):
        came = outcomes.embeddings[row][: len(first)]
        assert np.abs(came - np.array(first)).max() < 1e-6
        assert outcomes.token_counts[row] == count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello world", [-0.3934547, -0.9193440]),
        (" ".join(["hello"] * 1000), [-0.7980847, -0.6025454]),
    ],
)
def test_the_fixtures_of_model2vec_rs(text: str, expected: list[float], tmp_path: Path) -> None:
    """The two vectors of its test model that its texts use, and its own tolerance; MIT.

    https://github.com/MinishLab/model2vec-rs/tree/c75c126fe7aeeea34714f1cc36cef74b3c489f19/tests
    """
    words = {
        "hello": [-9.35731315612793, -7.064754486083984],
        "world": [6.058430194854736, -0.6433963179588318],
    }
    rows = {"[PAD]": [1, 0], "[UNK]": [1, 1], **words, **{one: [1, 2] for one in golden(words)}}
    tensors = {"embeddings": np.array([*rows.values()], np.float32)}
    vector = embedded_by([*rows], tensors, text, tmp_path)
    assert vector.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_fixture_of_model2vec_rs_with_a_quantized_vocabulary(tmp_path: Path) -> None:
    """Tokens share rows of the table, by `mapping`, and have weights."""
    recorded = json.loads(RECORDED.read_text("utf-8"))
    words = ["[PAD]", "[UNK]", *recorded["rows"], *golden(recorded["rows"])]
    tensors = {
        "embeddings": np.array([*recorded["rows"].values()][::-1], np.float32),
        "mapping": np.array([0, 0, 1, 0, *([1] * len(words[4:]))], np.int32),
        "weights": np.array([1, 1, *recorded["weights"].values(), *([0.5] * len(words[4:]))]),
    }
    vector = embedded_by(words, tensors, " ".join(["hello"] * 1000), tmp_path)
    assert vector.tolist() == pytest.approx(recorded["expected"], rel=1e-5)


def golden(words: Mapping[str, object]) -> list[str]:
    """Return the other words of the golden texts, which must have tokens."""
    return [word for word in static_folders.WORDS if word not in words]


def embedded_by(
    words: Sequence[str], tensors: dict[str, np.ndarray], text: str, tmp_path: Path
) -> np.ndarray:
    """Return the vector that a Model2Vec folder of these words and tensors gives."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    said = static_folders.tokenizer(static_folders.Case())
    said["model"]["vocab"] = {word: place for place, word in enumerate(words)}
    said["post_processor"] = said["padding"] = None
    (folder / "tokenizer.json").write_text(json.dumps(said))
    (folder / "config.json").write_text(json.dumps({"normalize": True, "hidden_dim": 64}))
    save_file(tensors, folder / "model.safetensors")
    artifact = build(Local(folder), "rs", tmp_path / "cache", Report())
    unpacked = tf_embeddings_udf.unpack(
        artifact.path, tmp_path / "unpacked", model="rs", build=artifact.build
    )
    return tf_embeddings_udf.load(unpacked).embed([text]).embeddings[0]
