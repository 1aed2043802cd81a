"""From any source to an artefact: what the options of a model change, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bert_folder
import encoder_makers
import makers
import numpy as np
import pytest
import tf_embeddings_udf
from dbt_projects import Project, make_project
from test_staging_cli import SCRIPT, stage_model
from tf_embeddings_staging.building.artefact import Artefact, read_artefact
from tf_embeddings_udf import Embedder, Manifest, read_manifest

TEXTS = ["the quick brown fox", "how do i reset my password", "one two three four five six seven"]
TOLERANCE = 1e-6
BERT_TOLERANCE = 2e-5  # float32 against float64; the vectors' components are about 1


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project for dry runs, which do not change it."""
    return make_project(tmp_path_factory.mktemp("built") / "project")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def built(project: Project, cache: Path, *arguments: str | Path) -> Artefact:
    """Build an artefact with the CLI."""
    done = stage_model(project, *arguments, "--dry-run", TF_EMBEDDINGS_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    found = re.search(r"(?:The artefact is|taken from) (.*\.zip)\n", done.stderr)
    assert found, done.stderr
    return read_artefact(Path(found[1]))


def loaded(artefact: Artefact, cache: Path) -> Embedder:
    folder = tf_embeddings_udf.unpack(
        artefact.path, cache / "unpacked", model=artefact.model, build=artefact.build
    )
    return tf_embeddings_udf.load(folder)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_options_of_a_model_of_strings(project: Project, cache: Path, tmp_path: Path) -> None:
    made = encoder_makers.save_two_vectors_text(tmp_path / "model", "left")
    plain = built(project, cache, made.path, "--name", "plain", "--output", "left")
    manifest = read_manifest(plain.path)
    assert (manifest.prefix, manifest.normalize, manifest.max_tokens) == ("", False, None)
    assert (manifest.dimensions, manifest.model_dimensions) == (8, 8)
    came = loaded(plain, cache).embed(TEXTS).embeddings
    assert np.abs(came - made.direct(TEXTS)).max() < TOLERANCE

    options = ("--truncate-dim", "5", "--normalize", "--prefix", "query: ")
    other = built(project, cache, made.path, "--name", "other", "--output", "left", *options)
    manifest = read_manifest(other.path)
    assert (manifest.prefix, manifest.normalize) == ("query: ", True)
    assert (manifest.dimensions, manifest.model_dimensions) == (5, 8)
    assert other.dimensions == other.pin()["dimensions"] == 5
    assert other.version != plain.version
    expected = unit(made.direct([f"query: {text}" for text in TEXTS])[:, :5])
    assert np.abs(loaded(other, cache).embed(TEXTS).embeddings - expected).max() < TOLERANCE

    right = built(project, cache, made.path, "--name", "right", "--output", "right")
    assert right.version not in (plain.version, other.version)


def test_the_options_of_a_model_of_tokens(project: Project, cache: Path, tmp_path: Path) -> None:
    made = encoder_makers.save_transformers_saved_model(tmp_path / "model", pooling="max")
    artefact = built(
        project, cache, made.path, "--name", "pooled", *made.options, "--max-tokens", "6"
    )
    manifest = read_manifest(artefact.path)
    assert (manifest.max_tokens, manifest.encoder["max_tokens"]) == (6, 6)
    assert (manifest.encoder["pooling"], manifest.encoder["output"]) == ("max", "last_hidden_state")
    assert "model/tokenizer.json" in manifest.files

    assert made.tokens and made.direct_of_ids
    ids = [made.tokens(text) for text in TEXTS]
    expected = [made.direct_of_ids(encoder_makers.truncated(one, 6))[0] for one in ids]
    outcomes = loaded(artefact, cache).embed(TEXTS)
    assert np.abs(outcomes.embeddings - np.array(expected)).max() < TOLERANCE
    assert outcomes.token_counts.tolist() == [len(one) for one in ids]
    assert outcomes.is_truncated.tolist() == [len(one) > 6 for one in ids]


def test_the_options_of_an_encoders_folder(project: Project, cache: Path, tmp_path: Path) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder", pooling="cls", normalize=True)
    prompts = {"query": "how ", "passage": "what "}
    folder.edit("config_sentence_transformers.json", prompts=prompts, default_prompt_name="query")
    first = read_manifest(built(project, cache, folder.path, "--name", "first").path)
    assert (first.prefix, first.normalize, first.max_tokens) == ("how ", True, 20)

    options = ("--prefix", "", "--no-normalize", "--pooling", "mean", "--max-tokens", "32")
    artefact = built(project, cache, folder.path, "--name", "mine", *options)
    manifest = read_manifest(artefact.path)
    assert (manifest.prefix, manifest.normalize, manifest.max_tokens) == ("", False, 32)
    assert artefact.version != first.version

    mean = bert_folder.Folder(folder.path, folder.tensors, "mean", folder.activation)
    tokens = encoder_makers.bert_tokens(folder.path)
    expected = []
    for text in TEXTS:
        ids = np.array([tokens(text)])
        expected.append(bert_folder.embed_in_numpy(mean, ids, np.ones_like(ids))[0])
    came = loaded(artefact, cache).embed(TEXTS).embeddings
    assert np.abs(came - np.array(expected)).max() < BERT_TOLERANCE


def test_prompts_without_a_default_are_told(project: Project, cache: Path, tmp_path: Path) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder")
    prompts = {"query": "query: ", "passage": "passage: "}
    folder.edit("config_sentence_transformers.json", prompts=prompts)
    arguments = [folder.path, "--name", "mine", "--dry-run"]
    done = stage_model(project, *arguments, TF_EMBEDDINGS_CACHE=str(cache))
    assert (
        "Note: this encoder has prompts, and none is its default: query ('query: '), passage "
        "('passage: '). No prefix is put before a text; --prefix TEXT chooses one. Stage the model "
        "under two names for two.\n"
    ) in done.stderr


SAVED: list[tuple[str, Callable[[Path], encoder_makers.Made]]] = [
    ("text", encoder_makers.save_keras_file),
    ("sentencepiece", encoder_makers.save_use_lite_module),
    ("text", encoder_makers.save_preprocessor_pair),
]


@pytest.mark.parametrize(("kind", "save"), SAVED, ids=["keras", "use_lite", "pair"])
def test_two_builds_in_two_processes_give_the_same_bytes(
    project: Project,
    tmp_path: Path,
    kind: str,
    save: Callable[[Path], encoder_makers.Made],
) -> None:
    made = save(tmp_path / "model")
    one, other = (
        built(project, tmp_path / cache, made.path, "--name", "m", *made.options)
        for cache in ("one", "other")
    )
    assert one.path != other.path
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.kind == kind
    manifest = read_manifest(one.path)
    assert manifest.memory_bytes
    assert manifest.memory_bytes % 2**28 == 0
    assert no_path_of(tmp_path, manifest)
    came = loaded(one, tmp_path).embed(TEXTS).embeddings
    assert np.abs(came - made.direct(TEXTS)).max() < TOLERANCE


def no_path_of(folder: Path, manifest: Manifest) -> bool:
    return str(folder) not in repr(manifest)


def test_a_preprocessor_is_a_part_of_the_version(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    made = encoder_makers.save_preprocessor_pair(tmp_path / "model")
    first = built(project, cache, made.path, "--name", "pair", *made.options)
    manifest = read_manifest(first.path)
    assert manifest.packages == ("numpy", "tensorflow", "tensorflow-text")
    assert manifest.encoder["libraries"] == ["tensorflow_text"]
    assert manifest.source["preprocessor"]["uri"] == "folder:preprocessor"
    assert "preprocessor/saved_model.pb" in manifest.files

    vocabulary = tmp_path / "model/preprocessor/assets/vocab.txt"
    words = vocabulary.read_text().splitlines()
    vocabulary.write_text("\n".join([*words[:-2], words[-1], words[-2]]) + "\n")
    assert (
        built(project, cache, made.path, "--name", "pair", *made.options).version != first.version
    )


def test_what_is_built_is_kept_until_its_files_or_options_change(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    makers.save_text_model(folder)
    arguments = [folder, "--name", "kept", "--dry-run"]
    environment = {"TF_EMBEDDINGS_CACHE": str(cache)}
    assert "Probing" in stage_model(project, *arguments, **environment).stderr
    (folder / "fingerprint.pb").write_bytes(b"another")
    (folder / ".DS_Store").write_bytes(b"")
    again = stage_model(project, *arguments, **environment)
    assert "kept: built before, taken from " in again.stderr
    assert "Probing" not in again.stderr
    assert "Probing" in stage_model(project, *arguments, "--prefix", "a ", **environment).stderr
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets/words.txt").write_text("new")
    assert "Probing" in stage_model(project, *arguments, **environment).stderr


def save_lengths(folder: Path, change: Callable[[Any], Any]) -> Path:
    """Save a model of strings whose vector is what `change` makes of [length, 1]."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def vectors(texts: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow ships no types
        lengths = tf.cast(tf.strings.length(texts), tf.float32)
        return {"vector": change(tf.stack([lengths, tf.ones_like(lengths)], 1))}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": vectors})
    return folder


def refusal(project: Project, cache: Path, *arguments: str | Path) -> str:
    """What the CLI says last."""
    done = stage_model(project, *arguments, TF_EMBEDDINGS_CACHE=str(cache))
    assert (done.returncode, done.stdout) == (1, "")
    assert not list((cache / "work").iterdir())
    return done.stderr.partition("stage_model: ")[2]


def test_a_model_that_gives_zeros_is_refused(project: Project, cache: Path, tmp_path: Path) -> None:
    folder = save_lengths(tmp_path / "model", lambda vectors: vectors * 0)
    assert refusal(project, cache, folder, "--name", "zeros") == (
        "the model gives no vector for 'elephant' and 14 other texts: what comes out is not finite "
        "or all zeros, or the model fails.\n"
    )


def test_a_model_that_gives_a_text_another_vector_each_time_is_refused(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    folder = save_lengths(
        tmp_path / "model", lambda vectors: vectors + tf.random.uniform(tf.shape(vectors))
    )
    assert re.fullmatch(
        r"the model gives a text another vector alone than among others \(they differ by \S+ in a "
        r"component\)\. Save it for inference, without dropout and batch statistics\.\n",
        refusal(project, cache, folder, "--name", "noisy"),
    )


def test_numbers_that_do_not_fit_are_refused(project: Project, cache: Path, tmp_path: Path) -> None:
    folder = save_lengths(tmp_path / "model", lambda vectors: vectors)
    named = (folder, "--name", "lengths")
    assert refusal(project, cache, *named, "--truncate-dim", "2") == (
        "--truncate-dim 2 keeps the first numbers of a vector, and this model gives 2. Say fewer, "
        "or leave it out.\n"
    )
    assert refusal(project, cache, *named, "--max-tokens", "128") == (
        "--max-tokens is for models that take token ids, and this one is of kind text: what "
        "happens to its tokens is in its graph. Leave --max-tokens out.\n"
    )
    assert refusal(project, cache, *named, "--preprocessor", tmp_path) == (
        f"SOURCE '{tmp_path}' is a folder with neither saved_model.pb nor config.json. "
        + _allowed()
    )


def _allowed() -> str:
    from test_staging_cli import SOURCE_MAY_BE

    return f"{SOURCE_MAY_BE}\n"


def test_what_tensorflow_said_is_shown_with_debug_alone(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    def fail(vectors: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), ["out of order"])]):
            return tf.identity(vectors)

    folder = save_lengths(tmp_path / "model", fail)
    said = refusal(project, cache, folder, "--name", "broken")
    assert said.count("\n") == 1
    assert "out of order" in said
    assert said.endswith("--debug shows all that it said.\n")
    debugged = refusal(project, cache, folder, "--name", "broken", "--debug")
    assert debugged.startswith(said)
    assert "Traceback (most recent call last):\n" in debugged


def test_a_process_that_takes_too_long_is_stopped(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    folder = save_lengths(tmp_path / "model", lambda vectors: vectors)
    said = refusal(project, cache, folder, "--name", "slow", "--time-limit", "0.0001")
    assert said.startswith("the inspection of the SavedModel did not end within 0.0001 minutes")
    said = refusal(project, cache, folder, "--name", "large", "--memory-limit", "0.001")
    assert "more than the limit of 0.00 GiB, so it was stopped. Raise the limit with" in said


def run_anywhere(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the CLI where there is no dbt project."""
    script = Path(__file__).parents[1] / "scripts" / Path(SCRIPT).name
    return subprocess.run(
        [sys.executable, script, *arguments], cwd=folder, capture_output=True, text=True
    )


def test_inspect_and_list_need_no_dbt_project(tmp_path: Path) -> None:
    made = encoder_makers.save_two_vectors_text(tmp_path / "model", "left")
    shown = run_anywhere(tmp_path, "model", "--inspect", *made.options)
    assert shown.returncode == 0, shown.stderr
    assert "kind        text\n" in shown.stdout
    assert "dimensions  8\n" in shown.stdout
    assert "StringSplitV2" in shown.stdout

    unclear = run_anywhere(tmp_path, "model", "--inspect")
    assert unclear.returncode == 1
    assert "out  right      float32 [?, 8]\n" in unclear.stdout
    assert unclear.stderr.endswith("Say which one with --output (left, right).\n")

    own = tmp_path / "own.yml"
    own.write_text(
        "tickets: {about: our own, kind: text, dimensions: 8, sources: [{tf_hub: {handle: "
        "'https://tfhub.dev/us/tickets/1'}}]}\n"
    )
    listed = run_anywhere(tmp_path, "--list", "--catalogue", own)
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:3]] == ["minilm", "use_lite"]
    assert listed.stdout.splitlines()[-1].startswith("tickets ")


def test_an_encoders_folder_is_inspected_too(tmp_path: Path) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder", pooling="mean")
    shown = run_anywhere(tmp_path, folder.path, "--inspect", "--max-tokens", "7")
    assert shown.returncode == 0, shown.stderr
    assert "kind        tokens\n" in shown.stdout
    assert "dimensions  24\n" in shown.stdout
    assert "max tokens  7\n" in shown.stdout


def test_an_artefact_takes_no_options(project: Project, strings: makers.Artefact) -> None:
    for flags in (["--prefix", "query: "], ["--sha256", "0" * 64], ["--inspect"]):
        done = stage_model(project, strings.path, *flags)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"stage_model: '{strings.path.name}' is an artefact, which is staged as it is: "
            f"{flags[0]} is for the model that it was made of. Leave {flags[0]} out.\n"
        )
