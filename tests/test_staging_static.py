"""Static encoders: what Model2Vec and Sentence Transformers give for them, they give here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

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
    *("modules_left", "bare", "modules_truncated"),
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


@pytest.mark.parametrize("name", ["own", "modules"])
def test_files_that_no_library_reads_change_nothing(name: str, tmp_path: Path) -> None:
    """Whatever tokenizer_config.json says: Model2Vec and StaticEmbedding read tokenizer.json."""
    other = f"{name}_beside_settings"
    assert FIXTURE["vectors"][other] == FIXTURE["vectors"][name]
    plain, beside = (
        read_static_folder(static_folders.make(tmp_path / case, case)) for case in (name, other)
    )
    assert (plain.model, plain.rewritten) == (beside.model, beside.rewritten)
    assert plain.files().keys() == beside.files().keys()


def test_a_text_has_one_vector_whatever_else_is_in_the_batch(tmp_path: Path) -> None:
    embedder = built(static_folders.make(tmp_path / "encoder", "modules"), tmp_path)
    together = embedder.embed([*TEXTS, *(f"{word} cat" for word in static_folders.WORDS)])
    for row, text in enumerate(TEXTS):
        single = embedder.embed([text])
        assert np.array_equal(single.embeddings[0], together.embeddings[row])


def test_a_tokenizer_may_leave_out_the_type_of_its_model(tmp_path: Path) -> None:
    """Of a Unigram without it, no token was taken for the unknown one."""
    folder = static_folders.make(tmp_path / "encoder", "own_unigram")
    encoder = read_static_folder(folder).model.encoder
    said = json.loads((folder / "tokenizer.json").read_text())
    del said["model"]["type"]
    (folder / "tokenizer.json").write_text(json.dumps(said))
    assert read_static_folder(folder).model.encoder == encoder
    assert encoder["unknown"] == 1


def test_what_model2vec_does_not_read_is_chosen_with_the_other_rule(tmp_path: Path) -> None:
    folder = static_folders.make(tmp_path / "encoder", "own")
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    assert not read_static_folder(folder, Options(prefix="")).model.prefix
    theirs = read_static_folder(folder, Options(static_rule="sentence-transformers"))
    assert theirs.model.prefix == "query: "


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
