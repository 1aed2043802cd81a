from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_artifact, unpacked
from makers import TOKENS_LIMIT, Artifact, save_text_model, write_artifact
from tf_embeddings_udf import Embedder, TfEmbeddingsError, cached, load
from tf_embeddings_udf.engines import litert
from tf_embeddings_udf.engines.litert import LiteRT

UDF_SRC = Path(__file__).parents[1] / "udf_src"

SavedModel = tuple[Path, dict[str, Any]]


# tokens


def test_texts_are_truncated_as_the_models_own_tokenizer_does(
    tiny: Artifact, tiny_embedder: Embedder
) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(unpacked(tiny) / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    encoder = tiny_embedder._planner.encoder
    texts = ["the fox", "the quick brown fox jumps over the lazy dog " * 3, "a " * 14, "a " * 15]
    for text, prepared in zip(texts, encoder.prepare(texts), strict=True):
        tokenizer.no_truncation()
        whole = tokenizer.encode(text).ids
        tokenizer.enable_truncation(TOKENS_LIMIT)
        assert prepared.payload[0].tolist() == tokenizer.encode(text).ids
        assert prepared.token_count == len(whole)
        assert prepared.is_truncated == (len(whole) > TOKENS_LIMIT)


def test_the_files_own_limit_and_padding_do_not_count(tiny_embedder: Embedder) -> None:
    """MiniLM's tokenizer.json truncates at 128 and pads to 128; the model's limit is 256."""
    prepared = tiny_embedder._planner.encoder.prepare(["a " * 12])[0]
    assert (prepared.cost, prepared.token_count, prepared.is_truncated) == (14, 14, False)


def test_a_tokenizer_that_truncates_on_the_left(
    litert_tokens_model: SavedModel, tmp_path: Path
) -> None:
    folder, parameters = litert_tokens_model
    shutil.copytree(folder, tmp_path / "model")
    file = tmp_path / "model" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["truncation"]["direction"] = "Left"
    file.write_text(json.dumps(content))
    left = load_artifact(write_artifact(tmp_path / "model", parameters, tmp_path / "stage"))
    kept = "the lazy dog " * 4 + "fox fox"  # 14 tokens of its own: with two special ones, 16
    encoder = left._planner.encoder
    whole, cut = encoder.prepare([kept, "a person " * 5 + kept])
    assert (whole.is_truncated, cut.is_truncated) == (False, True)
    assert np.array_equal(whole.payload, cut.payload)


def test_hundreds_of_long_texts_are_tokenized_in_portions(tiny_embedder: Embedder) -> None:
    texts = [f"{number} " + "a b " * 25_000 for number in range(50)]
    prepared = tiny_embedder._planner.encoder.prepare(texts)
    assert len(prepared) == 50
    assert {one.cost for one in prepared} == {TOKENS_LIMIT}
    assert all(one.token_count is not None and one.token_count > 50_000 for one in prepared)


# text


@pytest.mark.parametrize("rank", [1, 2])
def test_strings_reach_the_model_as_they_are(tmp_path: Path, rank: int) -> None:
    parameters = save_text_model(tmp_path / "model", rank=rank)
    artifact = write_artifact(tmp_path / "model", parameters, tmp_path / "stage", normalize=False)
    outcomes = load_artifact(artifact).embed(["abc", "né", "a\x00b\x00\x00", "\x00", "😀"])
    bytes_each = outcomes.embeddings[:, 0].tolist()
    assert bytes_each == [3, 3, 5, 1, 4], "in UTF-8, with its NUL characters"


def test_a_kind_that_cannot_count_tokens_counts_none(strings_embedder: Embedder) -> None:
    outcomes = strings_embedder.embed(["a", "", None])
    assert outcomes.statuses.tolist() == ["ok", "blank", "null"]
    assert not outcomes.counted.any()


def test_a_keras_model_gives_what_keras_gives(keras_model: Artifact) -> None:
    import tensorflow as tf

    texts = ["the quick brown fox", "a person is riding a horse", "xyzzy"]
    outcomes = load_artifact(keras_model).embed(texts)
    reloaded = tf.saved_model.load(str(unpacked(keras_model) / "model"))
    raw = reloaded.serve(tf.constant([[text] for text in texts])).numpy()
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(outcomes.embeddings, expected, rtol=0, atol=1e-6)


# Loading.


@pytest.mark.parametrize(
    ("parameter", "value", "says"),
    [
        ("signature", "default", "has no signature 'default' (it has: serving_default)."),
        ("input_ids", "ids", "has no input 'ids' (it has: attention_mask, input_ids)."),
        ("output", "vector", "has no output 'vector' (it has: embedding)."),
    ],
)
def test_a_name_that_the_model_lacks(
    saved_tokens_model: SavedModel, tmp_path: Path, parameter: str, value: str, says: str
) -> None:
    folder, parameters = saved_tokens_model
    encoder = {**parameters["encoder"], parameter: value}
    artifact = write_artifact(folder, {**parameters, "encoder": encoder}, tmp_path)
    with pytest.raises(TfEmbeddingsError) as error:
        load_artifact(artifact)
    assert str(error.value) == f"tf_embeddings: model 'tiny' {says} Stage the model again."


def test_a_kind_that_this_runtime_does_not_know(
    saved_tokens_model: SavedModel, tmp_path: Path
) -> None:
    folder, parameters = saved_tokens_model
    artifact = write_artifact(folder, {**parameters, "kind": "images"}, tmp_path)
    with pytest.raises(TfEmbeddingsError) as error:
        load_artifact(artifact)
    assert str(error.value) == (
        "tf_embeddings: model 'tiny' has an encoder of kind 'images', and the installed "
        "tf_embeddings knows pairs, sentencepiece, static, text, tokens. Install the "
        "tf_embeddings that staged it."
    )


def test_a_model_of_other_dimensions_than_its_manifest_says(
    saved_tokens_model: SavedModel, tmp_path: Path
) -> None:
    folder, parameters = saved_tokens_model
    artifact = write_artifact(folder, {**parameters, "dimensions": 9}, tmp_path)
    with pytest.raises(TfEmbeddingsError) as error:
        load_artifact(artifact).embed(["a", "b"])
    assert str(error.value) == (
        "tf_embeddings: model 'tiny' gave an output of shape [2, 8] where its manifest says "
        "[2, 9]. Stage the model again."
    )


def test_a_missing_package_is_named_with_the_command(
    tiny: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked(tiny)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(TfEmbeddingsError) as error:
        load(folder)
    assert str(error.value) == (
        "tf_embeddings: model 'tiny' needs the Python package 'tokenizers', which is not "
        "installed. Install it with: pip install -r dbt_packages/tf_embeddings/requirements.txt"
    )


@pytest.mark.parametrize(
    ("model", "module", "package", "file"),
    [
        ("tiny", "ai_edge_litert", "ai-edge-litert", "requirements.txt"),
        ("tiny_on_tensorflow", "tensorflow", "tensorflow", "requirements-staging.txt"),
    ],
)
def test_a_missing_engine_is_named_with_the_command(
    model: str,
    module: str,
    package: str,
    file: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = unpacked(request.getfixturevalue(model))
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TfEmbeddingsError) as error:
        load(folder, threads=7)
    assert str(error.value) == (
        f"tf_embeddings: model 'tiny' needs the Python package '{package}', which is not "
        f"installed. Install it with: pip install -r dbt_packages/tf_embeddings/{file}"
    )


def test_a_process_loads_a_model_once(tiny: Artifact) -> None:
    from concurrent.futures import ThreadPoolExecutor

    folder = unpacked(tiny)
    with ThreadPoolExecutor(8) as threads:
        embedders = set(threads.map(cached, [folder] * 16))
    assert len(embedders) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_a_sentence_instead_of_hanging(tiny_embedder: Embedder) -> None:
    answers = multiprocessing.get_context("fork").Queue()

    def child() -> None:
        try:
            tiny_embedder.embed(["a"])
        except TfEmbeddingsError as error:
            answers.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert answers.get(timeout=60) == (
        "tf_embeddings: model 'tiny' was loaded before this process was forked, and its "
        "threads do not survive a fork. Load it in the child, or start processes with "
        "multiprocessing's 'spawn'."
    )
    process.join()


def in_a_fresh_process(artifact: Artifact, code: str, **environment: str) -> tuple[str, str]:
    """Run code with `folder` and `load` defined; return what it wrote to stdout and stderr."""
    code = f"from tf_embeddings_udf import load; folder = {str(unpacked(artifact))!r}; {code}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=UDF_SRC,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("model", ["tiny", "tiny_on_tensorflow"])
def test_an_engine_starts_without_a_word(
    model: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    code = "import os; print(load(folder).embed(['a']).statuses)"
    artifact: Artifact = request.getfixturevalue(model)
    assert in_a_fresh_process(artifact, code) == ("['ok']\n", "")


def test_litert_runs_without_tensorflow(tiny: Artifact) -> None:
    code = (
        "import sys; load(folder).embed(['a', 'b c']); "
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('tensorflow', 'keras', 'tensorflow_hub', 'pandas', 'pyarrow')])"
    )
    assert in_a_fresh_process(tiny, code) == ("[]\n", "")


def test_what_others_write_to_stderr_meanwhile_is_kept(
    tiny_on_tensorflow: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    code = (
        "import os, threading, sys; seen = threading.Timer(0.5, os.write, (2, b'not chatter\\n')); "
        "seen.start(); load(folder); seen.join()"
    )
    assert in_a_fresh_process(tiny_on_tensorflow, code) == ("", "not chatter\n")


def test_the_users_own_log_level_is_respected(tiny_on_tensorflow: Artifact) -> None:
    _, stderr = in_a_fresh_process(tiny_on_tensorflow, "load(folder)", TF_CPP_MIN_LOG_LEVEL="0")
    assert re.search(r"oneDNN|TensorFlow binary|cuda", stderr)


def test_the_number_of_tensorflows_threads_is_set(tiny_on_tensorflow: Artifact) -> None:
    code = (
        "load(folder, threads=1); import tensorflow as tf; "
        "print(tf.config.threading.get_intra_op_parallelism_threads()); "
        "load(folder, threads=2).embed(['a'])"
    )
    assert in_a_fresh_process(tiny_on_tensorflow, code)[0] == "1\n", "the first model decides"


def test_litert_has_as_many_interpreters_as_threads(tiny: Artifact) -> None:
    folder = unpacked(tiny)
    assert load(folder, threads=1).engine.workers == 1
    assert load(folder, threads=4).engine.workers == 4
    assert load(folder).engine.workers == len(os.sched_getaffinity(0))


def test_a_text_by_itself_runs_on_all_threads_and_a_column_on_one_each(
    tiny: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier test's model, which may still be loaded, would share its interpreters.
    monkeypatch.setattr(litert, "_loaded", weakref.WeakValueDictionary())
    made: list[int] = []
    make = litert._Interpreter.__init__

    def noting_make(self: Any, source: Any, threads: int) -> None:  # noqa: ANN401
        made.append(threads)
        make(self, source, threads)

    monkeypatch.setattr(litert._Interpreter, "__init__", noting_make)
    embedder = load(unpacked(tiny), threads=3)
    singly = embedder.embed(["a fox"]).embeddings
    assert made == [3]
    texts = [f"a fox {number} " * 40 for number in range(200)]
    column = embedder.embed([*texts, "a fox"]).embeddings
    assert set(made[1:]) == {1}
    assert 1 <= len(made[1:]) <= 3
    np.testing.assert_allclose(column[-1:], singly, atol=1e-6)
    assert np.array_equal(embedder.embed(["a fox"]).embeddings, singly)
    assert made.count(3) == 2, "the column had the memory of the first"


def test_models_that_differ_in_their_prefix_share_their_interpreters(
    litert_tokens_model: SavedModel, tiny: Artifact, tmp_path: Path
) -> None:
    query = write_artifact(*litert_tokens_model, tmp_path, model="query", prefix="query: ")
    one, other = load_artifact(tiny).engine, load_artifact(query).engine
    assert isinstance(one, LiteRT)
    assert isinstance(other, LiteRT)
    assert one._pool is other._pool


def test_an_interpreter_that_failed_is_not_used_again(tiny: Artifact) -> None:
    engine = load(unpacked(tiny), threads=1).engine
    good = {name: np.ones((1, 3), np.int32) for name in ("input_ids", "attention_mask")}
    expected = engine(good)
    with pytest.raises(RuntimeError, match="gather index out of bounds"):
        engine({**good, "input_ids": np.full((1, 3), 10**6, np.int32)})
    assert np.array_equal(engine(good), expected)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "cannot be loaded by LiteRT"), (b"\0" * 64, "cannot be loaded by LiteRT")],
)
def test_a_file_that_is_no_model_of_litert(
    litert_tokens_model: SavedModel, content: bytes, says: str, tmp_path: Path
) -> None:
    folder, parameters = litert_tokens_model
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "model.tflite").write_bytes(content)
    artifact = write_artifact(tmp_path / "model", parameters, tmp_path / "stage")
    for threads in (1, 2):
        with pytest.raises(TfEmbeddingsError, match=f"model 'tiny' {says}"):
            load(unpacked(artifact), threads)


def test_an_engine_that_this_runtime_does_not_know(
    litert_tokens_model: SavedModel, tmp_path: Path
) -> None:
    artifact = write_artifact(*litert_tokens_model, tmp_path, engine="abacus")
    with pytest.raises(TfEmbeddingsError) as error:
        load_artifact(artifact)
    assert str(error.value) == (
        "tf_embeddings: model 'tiny' runs on the engine 'abacus', and the installed tf_embeddings "
        "knows litert, tensorflow. Install the tf_embeddings that staged it."
    )


def test_strings_do_not_run_on_litert(litert_tokens_model: SavedModel, tmp_path: Path) -> None:
    folder, parameters = litert_tokens_model
    artifact = write_artifact(folder, {**parameters, "kind": "text"}, tmp_path)
    with pytest.raises(TfEmbeddingsError, match="takes strings, which the engine 'litert'"):
        load_artifact(artifact)
