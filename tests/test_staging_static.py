"""Static encoders: what Model2Vec and Sentence Transformers give for them, they give here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import static_folders
import tf_embeddings_udf
from safetensors.numpy import load_file, save_file
from static_folders import CASES, TEXTS
from tf_embeddings_staging import listing
from tf_embeddings_staging.building.build import build, look
from tf_embeddings_staging.conversion.folders import read_folder
from tf_embeddings_staging.conversion.static_folder import is_static_folder, read_static_folder
from tf_embeddings_staging.conversion.static_table import load_parts
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local
from tf_embeddings_udf import Embedder

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "static.json").read_text())
TOLERANCE = 1e-5
RULES = "model2vec, model2vec-0.9, sentence-transformers"


def options_of(name: str) -> Options:
    return Options(static_rule=CASES[name].rule)


def built(folder: Path, tmp_path: Path, options: Options | None = None) -> Embedder:
    artifact = build(Local(folder), "mine", tmp_path / "cache", Report(), options)
    unpacked = tf_embeddings_udf.unpack(
        artifact.path, tmp_path / "unpacked", model=artifact.model, build=artifact.build
    )
    return tf_embeddings_udf.load(unpacked)


def refusal_of(folder: Path, options: Options | None = None) -> str:
    with pytest.raises(StagingError) as error:
        read_folder(folder, options or Options())
    return str(error.value)


# What `make test` runs: one of each layout, type and rule.
COMMON = {
    *("own", "own_float16", "own_quantized_unigram", "nested", "old", "modules", "modules_dense"),
    *("modules_left", "bare"),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in COMMON else pytest.mark.exhaustive) for name in CASES],
)
def test_an_encoder_gives_what_its_library_gives(name: str, tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", name)
    embedder = built(folder, tmp_path, options_of(name))
    outcomes = embedder.embed(TEXTS)
    expected = np.array(FIXTURE["vectors"][name])

    # A prompt is not content; an activation makes numbers of no tokens. Ours have no vector.
    blank = [not text.strip() for text in TEXTS]
    has_vector = expected.any(1) & ~np.array(blank)
    assert embedder.engine.name == "litert"
    assert outcomes.valid.tolist() == has_vector.tolist()
    assert np.abs(outcomes.embeddings[has_vector] - expected[has_vector]).max() < TOLERANCE
    assert {*outcomes.statuses[~has_vector]} == {"blank"}
    assert not outcomes.token_counts[~has_vector].any()


def test_a_text_has_one_vector_whatever_else_is_in_the_batch(tmp_path: Path) -> None:
    embedder = built(static_folders.make(tmp_path / "encoder", "modules"), tmp_path)
    together = embedder.embed([*TEXTS, *(f"{word} cat" for word in static_folders.WORDS)])
    for row, text in enumerate(TEXTS):
        single = embedder.embed([text])
        assert np.array_equal(single.embeddings[0], together.embeddings[row])


def test_a_long_text_is_the_mean_of_all_its_tokens(tmp_path: Path) -> None:
    """More tokens than one call of the model gets; sums of float32 would be off."""
    folder = static_folders.make(tmp_path / "encoder", "modules_not_scaled")
    table = load_file(folder / "model.safetensors")["embedding.weight"].astype(np.float64)
    ids = np.random.default_rng(5).integers(2, len(table), 40_000)
    vocabulary = [*dict.fromkeys(static_folders.WORDS)]
    text = " ".join(vocabulary[one - 2] for one in ids)
    outcomes = built(folder, tmp_path).embed([text, "cat"])
    assert outcomes.token_counts[0] == len(ids)
    assert np.abs(outcomes.embeddings[0] - table[ids].mean(0)).max() < 1e-7


def test_tokens_are_counted_in_the_whole_text(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own")
    long = "cat " + "z" * 4000 + " dog"  # cut after few tokens, within the unknown word
    outcomes = built(folder, tmp_path).embed(["the cat", "the zebra", "cat " * 600, long])
    assert outcomes.token_counts.tolist() == [2, 2, 600, 3]
    assert outcomes.is_truncated.tolist() == [False, False, True, True]


def test_the_rule_is_a_part_of_the_version_and_in_the_manifest(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own")
    versions = set()
    for rule in (None, "model2vec", "model2vec-0.9", "sentence-transformers"):
        model = read_static_folder(folder, Options(static_rule=rule)).model
        versions.add(model.version)
        assert model.manifest({})["encoder"]["rule"] == (rule or "model2vec")
    assert len(versions) == 3


def test_the_rule_is_what_the_folder_was_saved_for(tmp_path: Path) -> None:
    said = {}
    for name, case in CASES.items():
        if case.rule is None:
            encoder = read_static_folder(static_folders.make(tmp_path / name, name)).model.encoder
            said[name] = encoder["rule"]
    assert said == {name: CASES[name].by for name in said}


@pytest.mark.parametrize(
    ("rule", "unknown", "max_tokens", "max_characters"),
    [
        ("model2vec", 1, 9, 27),
        ("model2vec-0.9", 1, 9, 27),
        ("sentence-transformers", None, 9, None),
    ],
)
def test_max_tokens_is_the_rule_s_limit(
    rule: str, unknown: int | None, max_tokens: int, max_characters: int | None, tmp_path: Path
) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own")
    model = read_static_folder(folder, Options(static_rule=rule, max_tokens=9)).model
    assert model.max_tokens == model.encoder["max_tokens"] == max_tokens
    assert (model.encoder["unknown"], model.encoder["max_characters"]) == (unknown, max_characters)


def test_small_tables_stay_small(tmp_path: Path) -> None:
    kept = {}
    for name in ("own_weights", "own_int8", "own_int8_weights", "own_quantized_unigram"):
        encoder = read_static_folder(static_folders.make(tmp_path / name, name))
        parts = load_parts(encoder.weights, encoder.table, encoder.dense)
        extras = [one for one in ("mapping", "weights") if getattr(parts, one) is not None]
        kept[name] = (parts.vectors.dtype.name, extras)
    assert kept == {
        "own_weights": ("float32", []),  # folded: no larger than the table was
        "own_int8": ("int8", []),
        "own_int8_weights": ("int8", ["weights"]),
        "own_quantized_unigram": ("int8", ["mapping", "weights"]),
    }


def test_an_int8_table_is_int8_in_the_artifact(tmp_path: Path) -> None:
    """Eight of these bits a number, or the artifact of a quantized model would be four times it."""
    sizes = {}
    for kind in ("float32", "int8"):
        name = "own_int8" if kind == "int8" else "own"
        folder = static_folders.make(tmp_path / kind, name)
        tensors = load_file(folder / "model.safetensors")
        table = np.resize(tensors["embeddings"], (40_000, 8))
        save_file({"embeddings": table}, folder / "model.safetensors")
        artifact = build(Local(folder), kind, tmp_path / "cache", Report())
        sizes[kind] = artifact.path.stat().st_size
    assert sizes["float32"] - sizes["int8"] > 40_000 * 8 * 2.9


def test_the_first_numbers_of_a_vector(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "modules_not_scaled")
    embedder = built(folder, tmp_path, Options(truncate_dim=3))
    expected = np.array(FIXTURE["vectors"]["modules_not_scaled"])[:3, :3]
    assert np.abs(embedder.embed(TEXTS[:3]).embeddings - expected).max() < TOLERANCE


def test_a_static_encoder_runs_on_tensorflow_too(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own_quantized_unigram")
    embedder = built(folder, tmp_path, Options(engine="tensorflow"))
    expected = np.array(FIXTURE["vectors"]["own_quantized_unigram"])
    outcomes = embedder.embed(TEXTS)
    assert embedder.engine.name == "tensorflow"
    assert np.abs(outcomes.embeddings - expected).max() < TOLERANCE


def test_a_transformer_is_not_static(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    tensors = {"embeddings.word_embeddings.weight": np.zeros((2, 2), np.float32)}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    assert not is_static_folder(folder)
    assert refusal_of(folder, Options(static_rule="model2vec", pooling="mean")) == (
        "--static-rule model2vec is for static encoders, whose model is a table of token vectors, "
        "and 'encoder' is a transformer. Leave --static-rule out."
    )


def test_inspect_shows_the_rule_and_the_table(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own_quantized_unigram")
    found = look(Local(folder), tmp_path / "cache", Report(), Options(), Limits(), None)
    shown = listing.report(found, 0)
    assert "kind        static\n" in shown
    assert (
        "why         'model.safetensors' is a table of token vectors, 'embeddings', whose mean is "
        "taken by the rule of model2vec.\n"
    ) in shown
    for line in (
        "rule            model2vec",
        "drops           token 1",
        "int8 [",
        "mapping, weight",
    ):
        assert line in shown


Change = Callable[[Path], Any]


def json_of(name: str, **changes: object) -> Change:
    def change(folder: Path) -> None:
        said = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**said, **changes}))

    return change


def tensors_of(**changes: np.ndarray | None) -> Change:
    def change(folder: Path) -> None:
        tensors = {**load_file(folder / "model.safetensors"), **changes}
        save_file(
            {name: one for name, one in tensors.items() if one is not None},
            folder / "model.safetensors",
        )

    return change


def modules_of(*kinds: str) -> Change:
    def change(folder: Path) -> None:
        said = [{"type": f"sentence_transformers.models.{kind}", "path": ""} for kind in kinds]
        (folder / "modules.json").write_text(json.dumps(said))

    return change


@pytest.mark.parametrize(
    ("name", "change", "options", "says"),
    [
        (
            "bare",
            None,
            Options(),
            "the folder 'encoder' has a table of token vectors, and neither 'config.json' nor "
            "'modules.json' says what happens to unknown tokens and long texts. Say so with "
            "--static-rule model2vec, model2vec-0.9 or sentence-transformers; WordLlama's is the "
            "last.",
        ),
        (
            "own",
            None,
            Options(static_rule="mine"),
            f"--static-rule mine: there is no such rule; it may be {RULES}.",
        ),
        (
            "own",
            None,
            Options(kind="tokens"),
            "--kind tokens: 'encoder' is the folder of a static encoder, whose kind is static. "
            "Leave --kind out.",
        ),
        (
            "own",
            None,
            Options(pooling="cls"),
            "--pooling: 'encoder' is the folder of a static encoder, which has none to choose: its "
            "vectors are the mean of a table's. Leave --pooling out.",
        ),
        (
            "own",
            json_of("config.json", normalize="yes"),
            Options(),
            "the encoder's settings say normalize 'yes', not true or false. Download or save the "
            "folder again.",
        ),
        (
            "own",
            json_of("config.json", max_length=0),
            Options(),
            "the encoder's settings say max_length 0, not a whole number of at least 1 or null. "
            "Say how many tokens with --max-tokens.",
        ),
        (
            "own",
            lambda folder: (folder / "tokenizer.json").unlink(),
            Options(),
            "the folder 'encoder' has no 'tokenizer.json'; a static encoder's tokenizer is in it.",
        ),
        (
            "modules",
            lambda folder: (folder / "model.safetensors").unlink(),
            Options(),
            "the folder 'encoder' has no 'model.safetensors'; a static encoder is a table of token "
            "vectors in it.",
        ),
        (
            "own",
            tensors_of(weights=np.ones(5, np.float32)),
            Options(),
            "'model.safetensors' has embeddings [57, 8], weights [5], which do not fit: there must "
            "be one of each for a token. Save the encoder again.",
        ),
        (
            "own",
            tensors_of(embeddings=np.ones((2, 8), np.float32)),
            Options(),
            "'tokenizer.json' has ids up to 56, and the table is of 2 tokens. Is it this model's "
            "own tokenizer?",
        ),
        (
            "own",
            tensors_of(embeddings=np.ones((57, 8), np.int16)),
            Options(),
            "'model.safetensors' has embeddings of type I16 and shape [57, 8]; it must have 2 axes "
            "that are not empty, and be of type float64, float32, float16, bfloat16, int8.",
        ),
        (
            "modules",
            tensors_of(mapping=np.arange(57)),
            Options(),
            "'model.safetensors' has the tensors embedding.weight, mapping; a static encoder has "
            "embedding.weight, or embeddings with at most mapping and weights. Is it the table of "
            "token vectors?",
        ),
        (
            "modules",
            modules_of("StaticEmbedding", "Normalize", "Dense"),
            Options(),
            "'modules.json' asks for StaticEmbedding + Normalize + Dense; the converter knows "
            "StaticEmbedding, then any number of Dense, and at most Normalize after that.",
        ),
        (
            "modules_dense",
            lambda folder: json_of("1_Dense/config.json", activation_function=static_folders.TANH)(
                folder
            ),
            Options(),
            "'1_Dense/config.json' has the activation tanh, and another Dense follows: behind a "
            "table, the converter knows an activation of the last Dense only.",
        ),
        (
            "own_truncating_tokenizer",
            None,
            Options(static_rule="model2vec-0.9"),
            "'tokenizer.json' truncates at 6 tokens: by the rule model2vec-0.9, that comes before "
            "unknown tokens are dropped, and another cut after. Set its truncation to null, or "
            "choose the rule model2vec.",
        ),
    ],
)
def test_what_is_not_known_is_refused_in_a_sentence(
    name: str, change: Change | None, options: Options, says: str, tmp_path: Path
) -> None:
    folder = static_folders.make(tmp_path / "encoder", name)
    if change is not None:
        change(folder)
    assert refusal_of(folder, options) == says


def test_a_table_that_is_not_finite_or_left_by_its_mapping_is_refused(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own_mapping")
    encoder = read_static_folder(folder)
    tensors = load_file(encoder.weights)
    tensors["mapping"][3] = 99
    save_file(tensors, encoder.weights)
    with pytest.raises(StagingError) as error:
        load_parts(encoder.weights, encoder.table, ())
    assert str(error.value) == (
        "'model.safetensors' has mapping from 0 to 99, and embeddings has rows 0 to 27. Save the "
        "encoder again."
    )
    tensors["embeddings"][0, 0] = np.nan
    save_file(tensors, encoder.weights)
    with pytest.raises(StagingError, match="embeddings with numbers that are not finite"):
        load_parts(encoder.weights, encoder.table, ())


def test_the_options_of_one_kind_do_not_change_another(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own")
    model = read_static_folder(folder).model
    assert replace(model, encoder={**model.encoder, "rule": "model2vec-0.9"}).version != (
        model.version
    )
