"""Every format of a model through the runtime, against what the saved model gives directly."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import encoder_makers
import numpy as np
import pytest
from conftest import load_artifact
from encoder_makers import Made
from makers import CORPUS, Artifact, Tensor, save_tokenizer, write_artifact
from tf_embeddings_udf import Embedder, TfEmbeddingsError

SAME = 1e-6

TEXTS = [
    "fox",
    *CORPUS,
    "the lazy dog " * 30,
    "你好 😀 42",
    *(f"{CORPUS[row % 6]} {row}" for row in range(60)),
]

Encoder = dict[str, Any]


def strings(**changes: Any) -> Encoder:  # noqa: ANN401
    """The parameters of a model of kind `text`."""
    return {
        "tags": ["serve"],
        "libraries": [],
        "signature": "serving_default",
        "input": "sentences",
        "rank": 1,
        "output": "output_0",
        "preprocessor": None,
        **changes,
    }


CALLED = strings(signature="__call__", input=None, output=None)

USE_LITE = {
    "tags": [],
    "signature": "default",
    "values": "values",
    "indices": "indices",
    "dense_shape": "dense_shape",
    "output": "default",
    "sentencepiece": encoder_makers.USE_LITE_TOKENIZER,
    "max_tokens": None,
}

PREPROCESSOR = {
    "tags": ["serve"],
    "signature": "serving_default",
    "input": "sentences",
    "rank": 1,
    "output": None,
}

TRANSFORMERS = {
    "signature": "serving_default",
    "input_ids": "input_ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "token_type_ids",
    "output": "last_hidden_state",
    "tokenizer": "tokenizer.json",
    "max_tokens": encoder_makers.POSITIONS,
}

FORMATS: dict[str, Encoder] = {
    "callable_text": CALLED,
    "signature_default_text": strings(signature="default"),
    "serving_default_text": strings(),
    "rank2_text": strings(rank=2),
    "dict_output_text": strings(output="vector"),
    "callable_dict": {**CALLED, "input": "sentences", "output": "vector"},
    "list_output": {**CALLED, "output": "1"},
    "two_vectors_text": strings(output="right"),
    "tf1_text_module": strings(tags=[], signature="default", input="default", output="default"),
    "use_lite_module": USE_LITE,
    "keras_export": strings(input="texts", rank=2),
    "text_ops_model": strings(libraries=["tensorflow_text"], input="inputs", output="outputs"),
    "preprocessor_pair": strings(
        libraries=["tensorflow_text"], input=None, output="pooled_output", preprocessor=PREPROCESSOR
    ),
    "transformers_saved_model": {**TRANSFORMERS, "pooling": "mean"},
}


def staged(made: Made, encoder: Encoder, stage: Path, **overrides: Any) -> Artifact:  # noqa: ANN401
    """Pack a model as the staging CLI does; not normalized, so that lengths are compared too."""
    folder, preprocessor = made.path, None
    if (folder / "saved_model" / "1").is_dir():
        tokenizer = folder / "tokenizer.json"
        folder = folder / "saved_model" / "1"
        shutil.copy(tokenizer, folder)
    if encoder.get("preprocessor"):
        preprocessor = folder.parent / "preprocessor"
    own = {"tokens": ["tokenizers"], "sentencepiece": ["sentencepiece"]}.get(made.kind, [])
    fields = {
        "kind": made.kind,
        "dimensions": made.dimensions,
        "max_tokens": encoder.get("max_tokens"),
        "encoder": encoder,
        "packages": ["numpy", "tensorflow", *own],
        "normalize": False,
        **overrides,
    }
    return write_artifact(folder, fields, stage, preprocessor=preprocessor)


@pytest.fixture(scope="module", params=FORMATS)
def of_format(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Made, Embedder]:
    folder = tmp_path_factory.mktemp(request.param)
    made: Made = getattr(encoder_makers, f"save_{request.param}")(folder / "model")
    return made, load_artifact(staged(made, FORMATS[request.param], folder / "stage"))


def test_a_vector_is_what_the_model_itself_gives(of_format: tuple[Made, Embedder]) -> None:
    """The model gets one text at a time, and the runtime gets them all."""
    made, embedder = of_format
    outcomes = embedder.embed(TEXTS)
    assert set(outcomes.statuses) == {"ok"}
    np.testing.assert_allclose(outcomes.embeddings, made.direct(TEXTS), rtol=0, atol=SAME)


def test_threads_get_what_one_gets(of_format: tuple[Made, Embedder]) -> None:
    _, embedder = of_format
    expected = embedder.embed(TEXTS).embeddings
    with ThreadPoolExecutor(4) as threads:
        for outcomes in threads.map(embedder.embed, [TEXTS] * 8):
            np.testing.assert_allclose(outcomes.embeddings, expected, rtol=0, atol=SAME)


def test_tokens_are_counted_where_the_kind_can(of_format: tuple[Made, Embedder]) -> None:
    made, embedder = of_format
    for outcomes in (embedder.embed([*TEXTS, " ", None]), embedder.count([*TEXTS, " ", None])):
        assert outcomes.statuses.tolist() == ["ok"] * len(TEXTS) + ["blank", "null"]
        if made.tokens is None:
            assert not outcomes.counted.any()
            continue
        counts = [len(made.tokens(text)) for text in TEXTS]
        limit = made.max_tokens or max(counts)
        assert outcomes.counted.tolist() == [True] * (len(TEXTS) + 1) + [False]
        assert outcomes.token_counts.tolist() == [*counts, 0, 0]
        truncated = [count > limit for count in counts]
        assert outcomes.is_truncated.tolist() == [*truncated, False, False]
        assert any(truncated) == (made.max_tokens is not None)


# tokens


@pytest.mark.parametrize(
    ("output", "pooling"),
    [("last_hidden_state", "cls"), ("last_hidden_state", "max"), ("pooler_output", None)],
)
def test_the_states_of_a_text_become_one_vector(
    tmp_path: Path, output: str, pooling: str | None
) -> None:
    made = encoder_makers.save_transformers_saved_model(tmp_path / "model", output, pooling)
    encoder = {**TRANSFORMERS, "output": output, "pooling": pooling}
    outcomes = load_artifact(staged(made, encoder, tmp_path / "stage")).embed(TEXTS)
    np.testing.assert_allclose(outcomes.embeddings, made.direct(TEXTS), rtol=0, atol=SAME)


def test_a_model_without_a_mask_never_sees_padding(tmp_path: Path) -> None:
    """Its mean is of all that it gets, so a row that is padded would be another vector."""
    import tensorflow as tf
    from tokenizers import Tokenizer

    table = np.random.default_rng(3).normal(size=(300, 8)).astype(np.float32)

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, name="ids")])
        def __call__(self, ids: Tensor) -> Tensor:
            return tf.reduce_mean(tf.gather(table, ids), 1)

    tf.saved_model.save(Model(), str(tmp_path / "model"), signatures={})
    save_tokenizer(tmp_path / "model" / "tokenizer.json")
    encoder = {
        "signature": "__call__",
        "input_ids": "ids",
        "attention_mask": None,
        "token_type_ids": None,
        "output": None,
        "tokenizer": "tokenizer.json",
        "max_tokens": 32,
    }
    made = Made(tmp_path / "model", "tokens", lambda _: table)
    embedder = load_artifact(staged(made, encoder, tmp_path / "stage"))
    tokenizer = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(32)
    expected = [table[tokenizer.encode(text).ids].mean(0) for text in TEXTS]
    np.testing.assert_allclose(embedder.embed(TEXTS).embeddings, expected, rtol=0, atol=SAME)


def test_rows_of_one_length_cost_that_length(tmp_path: Path) -> None:
    """Else a batch of short texts would be as large as one of many long ones."""
    import tensorflow as tf
    from tokenizers import Tokenizer

    made = encoder_makers.save_preprocessor_pair(tmp_path / "pair")
    save_tokenizer(made.path / "tokenizer.json")
    encoder = {
        "signature": "serving_default",
        "input_ids": "input_word_ids",
        "attention_mask": "input_mask",
        "token_type_ids": "input_type_ids",
        "output": "pooled_output",
        "tokenizer": "tokenizer.json",
        "max_tokens": encoder_makers.SEQUENCE,
    }
    of_tokens = Made(made.path, "tokens", made.direct)
    embedder = load_artifact(staged(of_tokens, encoder, tmp_path / "stage"))
    prepared = embedder._planner.encoder.prepare(["fox", "the lazy dog " * 9])
    assert [one.cost for one in prepared] == [encoder_makers.SEQUENCE] * 2

    tokenizer = Tokenizer.from_file(str(made.path / "tokenizer.json"))
    tokenizer.enable_padding(length=encoder_makers.SEQUENCE)
    tokenizer.enable_truncation(encoder_makers.SEQUENCE)
    encodings = [tokenizer.encode(text) for text in TEXTS]
    loaded = tf.saved_model.load(str(made.path))
    expected = loaded.signatures["serving_default"](
        input_word_ids=tf.constant([one.ids for one in encodings]),
        input_mask=tf.constant([one.attention_mask for one in encodings]),
        input_type_ids=tf.constant([one.type_ids for one in encodings]),
    )["pooled_output"].numpy()
    np.testing.assert_allclose(embedder.embed(TEXTS).embeddings, expected, rtol=0, atol=SAME)


# sentencepiece


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return encoder_makers.save_use_lite_module(tmp_path_factory.mktemp("lite") / "model")


def weights_of(made: Made) -> np.ndarray:
    """Read the table of a model of USE lite's format out of its checkpoint."""
    import tensorflow as tf

    return tf.train.load_variable(str(made.path / "variables" / "variables"), "embeddings")


def test_the_first_ids_are_kept(lite: Made, tmp_path: Path) -> None:
    artifact = staged(lite, {**USE_LITE, "max_tokens": 5}, tmp_path)
    outcomes = load_artifact(artifact).embed(TEXTS)
    assert lite.tokens is not None
    ids = [lite.tokens(text) for text in TEXTS]
    assert outcomes.token_counts.tolist() == [len(one) for one in ids]
    assert outcomes.is_truncated.tolist() == [len(one) > 5 for one in ids]
    assert 0 < outcomes.is_truncated.sum() < len(TEXTS)
    places = 0.1 * np.arange(5)[:, None]
    table = weights_of(lite)
    expected = [np.sin(table[one[:5]] + places[: len(one)]).mean(0) for one in ids]
    np.testing.assert_allclose(outcomes.embeddings, expected, rtol=0, atol=SAME)


def test_a_text_without_pieces_is_blank_and_half_a_character_an_error(
    lite: Made, tmp_path: Path
) -> None:
    outcomes = load_artifact(staged(lite, USE_LITE, tmp_path)).embed(["\u200b", "\ud800", "fox"])
    assert outcomes.statuses.tolist() == ["blank", "error", "ok"]
    assert outcomes.counted.tolist() == [True, False, True]


# text


def test_a_pair_of_called_objects(tmp_path: Path) -> None:
    """TF-Hub's BERT models have no need of signatures: one's dict is the other's argument."""
    import tensorflow as tf

    class Preprocessor(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, sentences: Tensor) -> dict[str, Tensor]:
            words = tf.strings.split(sentences)
            ids = tf.strings.to_hash_bucket_fast(words.flat_values, 50)
            return {
                "ids": words.with_flat_values(ids).to_tensor(-1, shape=[None, 8]),
                "unused": tf.zeros([1]),
            }

    class Model(tf.Module):
        @tf.function(
            input_signature=[
                {
                    "ids": tf.TensorSpec([None, 8], tf.int64),
                    "unused": tf.TensorSpec([1], tf.float32),
                }
            ]
        )
        def __call__(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"v": tf.cast(tensors["ids"], tf.float32), "other": tensors["unused"]}

    tf.saved_model.save(Preprocessor(), str(tmp_path / "preprocessor"), signatures={})
    tf.saved_model.save(Model(), str(tmp_path / "model"), signatures={})
    prepare, model = (tf.saved_model.load(str(tmp_path / p)) for p in ("preprocessor", "model"))
    made = Made(tmp_path / "model", "text", lambda texts: model(prepare(list(texts)))["v"].numpy())
    encoder = {**CALLED, "output": "v"}
    encoder["preprocessor"] = {**PREPROCESSOR, "signature": "__call__", "input": None}
    embedder = load_artifact(staged(made, encoder, tmp_path / "stage"))
    expected = made.direct(TEXTS)
    np.testing.assert_allclose(embedder.embed(TEXTS).embeddings, expected, rtol=0, atol=0)


# What is wrong.


def error_of(made: Made, encoder: Encoder, stage: Path, texts: Sequence[str] = ("fox",)) -> str:
    with pytest.raises(TfEmbeddingsError) as error:
        load_artifact(staged(made, encoder, stage)).embed(texts)
    return str(error.value)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A model of strings with a dict of outputs: vector, states, words."""
    return encoder_makers.save_dict_output_text(tmp_path_factory.mktemp("words") / "model")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"output": "words"},
            "model 'tiny' gave a tensor of int64 as its output 'words', not a tensor of floats.",
        ),
        (
            {"output": "states"},
            "model 'tiny' gave an output of shape [1, 1, 8] where its manifest says [1, 8].",
        ),
        (
            {"output": None},
            "model 'tiny' has no output without a name (it has: states, vector, words).",
        ),
        (
            {"signature": "__call__", "input": None, "output": "0"},
            "model 'tiny' has no output '0' (it has: states, vector, words).",
        ),
        ({"tags": "serve"}, "says encoder.tags: 'serve', not a list of names."),
        ({"rank": 3}, "says encoder.rank: 3, not 1 or 2."),
        ({"signature": None}, "says encoder.signature: None, not a name."),
        (
            {"libraries": ["os"]},
            "says encoder.libraries: ['os'], and only tensorflow_text may be imported for a model.",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_named(
    words: Made, tmp_path: Path, changes: Encoder, says: str
) -> None:
    message = error_of(words, {**strings(output="vector"), **changes}, tmp_path)
    assert message.startswith("tf_embeddings: ")
    assert message.endswith(f"{says} Stage the model again.")


def test_tags_that_the_model_does_not_have(words: Made, tmp_path: Path) -> None:
    import tensorflow as tf

    message = error_of(words, strings(tags=["gpu"]), tmp_path)
    assert message.startswith(
        f"tf_embeddings: model 'tiny' cannot be loaded by TensorFlow {tf.__version__} (ValueError: "
    )
    assert message.endswith("). Stage the model again.")
    assert "\n" not in message


def test_a_module_that_cannot_be_called_itself(lite: Made, tmp_path: Path) -> None:
    assert error_of(lite, {**USE_LITE, "signature": "__call__"}, tmp_path) == (
        "tf_embeddings: model 'tiny' cannot be called itself (it has the signatures: default, "
        "spm_path). Stage the model again."
    )


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("../spm.model", "says encoder.sentencepiece: '../spm.model', not a path in the model's"),
        ("saved_model.pb", "model 'tiny' has no SentencePiece model in 'saved_model.pb' ("),
        ("assets/none", "model 'tiny' has no SentencePiece model in 'assets/none' ("),
    ],
)
def test_a_sentencepiece_model_that_is_none(
    lite: Made, tmp_path: Path, path: str, says: str
) -> None:
    assert says in error_of(lite, {**USE_LITE, "sentencepiece": path}, tmp_path)


def test_pooling_of_what_is_pooled_already(tmp_path: Path) -> None:
    made = encoder_makers.save_transformers_saved_model(tmp_path / "model", "pooler_output", None)
    encoder = {**TRANSFORMERS, "output": "pooler_output", "pooling": "mean"}
    assert error_of(made, encoder, tmp_path / "stage") == (
        "tf_embeddings: model 'tiny' gave an output of shape [1, 8], and pooling 'mean' takes "
        "[texts, tokens, numbers]. Stage the model again."
    )
    encoder["pooling"] = "median"
    assert error_of(made, encoder, tmp_path / "stage") == (
        "tf_embeddings: the manifest of model 'tiny' says encoder.pooling: 'median', not null, "
        "mean, cls, max. Stage the model again."
    )


def test_a_preprocessor_that_prepares_no_tensors(words: Made, tmp_path: Path) -> None:
    made = encoder_makers.save_callable_text(tmp_path / "preprocessor")
    shutil.copytree(words.path, tmp_path / "model")
    pair = Made(tmp_path / "model", "text", made.direct)
    encoder = strings(output="vector")
    encoder["preprocessor"] = {**PREPROCESSOR, "signature": "__call__"}
    message = error_of(pair, encoder, tmp_path / "stage")
    assert message == (
        "tf_embeddings: the preprocessor of model 'tiny' gave an output of type EagerTensor, not "
        "named tensors. Stage the model again."
    )


RELEASE = ".".join(importlib.metadata.version("tensorflow").split(".")[:2])


def test_tensorflow_text_that_is_missing_is_named_as_its_package_is(
    words: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = ["numpy", "tensorflow", "tensorflow-text"]
    artifact = staged(words, strings(libraries=["tensorflow_text"]), tmp_path, packages=packages)
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(TfEmbeddingsError) as error:
        load_artifact(artifact)
    assert str(error.value) == (
        "tf_embeddings: model 'tiny' needs the Python package 'tensorflow-text', which is not "
        f"installed. Install it with: pip install 'tensorflow-text=={RELEASE}.*'"
    )


# What two models of one process share.


def test_two_prefixes_of_one_model_share_what_is_loaded(words: Made, tmp_path: Path) -> None:
    encoder = strings(output="vector")
    query, passage, other = (
        load_artifact(staged(words, encoder | changes, tmp_path, prefix=prefix))
        for prefix, changes in [("query: ", {}), ("passage: ", {}), ("", {"output": "states"})]
    )
    encoders: list[Any] = [one._planner.encoder for one in (query, passage, other)]
    assert len({id(one.engine.loaded) for one in encoders}) == 1
    came = [query.embed(["fox"]).embeddings[0], passage.embed(["fox"]).embeddings[0]]
    expected = words.direct(["query: fox", "passage: fox"])
    np.testing.assert_allclose(came, expected, rtol=0, atol=SAME)


def test_other_weights_of_the_same_graph_are_loaded_apart(words: Made, tmp_path: Path) -> None:
    other = encoder_makers.save_callable_dict(tmp_path / "model")
    one, another = (
        load_artifact(staged(made, {**CALLED, "output": "vector"}, tmp_path / "stage"))
        for made in (words, other)
    )
    for made, embedder in ((words, one), (other, another)):
        vectors = embedder.embed(CORPUS).embeddings
        np.testing.assert_allclose(vectors, made.direct(CORPUS), rtol=0, atol=SAME)
