from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import load_artefact
from hypothesis import given
from hypothesis import strategies as st
from makers import CORPUS, TOKENS_LIMIT, Artefact, write_artefact
from tf_embeddings_udf import Embedder, TfEmbeddingsError
from tf_embeddings_udf.planner import batches

SAME = 1e-6  # per component: the same text, whatever else is in the batch


def vector(embedder: Embedder, text: str) -> np.ndarray:
    outcomes = embedder.embed([text])
    assert outcomes.statuses.tolist() == ["ok"]
    return outcomes.embeddings[0]


# What becomes of a row.


def test_null_and_blank_have_no_vector(tiny_embedder: Embedder) -> None:
    texts = [None, "", "   ", "\t\r\n", "\u00a0\u2003", "\x00", "\u200b", "the fox"]
    outcomes = tiny_embedder.embed(texts)
    assert outcomes.statuses.tolist() == ["null", *["blank"] * 6, "ok"]
    assert outcomes.valid.tolist() == [False] * 7 + [True]
    assert outcomes.counted.tolist() == [False] + [True] * 7
    assert outcomes.token_counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 4]
    assert not outcomes.embeddings[:7].any()


def test_no_rows_and_only_rows_without_text(tiny_embedder: Embedder) -> None:
    assert tiny_embedder.embed([]).embeddings.shape == (0, 8)
    assert tiny_embedder.embed([None]).statuses.tolist() == ["null"]
    assert tiny_embedder.embed([""]).statuses.tolist() == ["blank"]


@pytest.mark.parametrize(
    "text", ["😀", "нос 鼻 أنف nose", "نص حكيم", "a\x00b", "!", "x" * 100_000, "a b " * 25_000]
)
def test_any_text_has_a_vector_of_length_one(tiny_embedder: Embedder, text: str) -> None:
    assert np.linalg.norm(vector(tiny_embedder, text)) == pytest.approx(1, abs=1e-6)


def test_outcomes_are_typed_as_a_warehouse_needs_them(tiny_embedder: Embedder) -> None:
    outcomes = tiny_embedder.embed(["the fox", None])
    assert outcomes.embeddings.dtype == np.float32
    assert outcomes.embeddings.flags.c_contiguous
    assert outcomes.token_counts.dtype == np.int32
    assert {outcomes.valid.dtype, outcomes.counted.dtype, outcomes.is_truncated.dtype} == {
        np.dtype(bool)
    }


# The same text, the same vector.


def test_a_text_is_the_same_alone_in_a_batch_in_any_order(tiny_embedder: Embedder) -> None:
    texts = [f"{CORPUS[row % 6]} {row % 700}" for row in range(2048)]
    batch = tiny_embedder.embed(texts)
    order = np.random.default_rng(7).permutation(2048)
    shuffled = tiny_embedder.embed([texts[row] for row in order])
    np.testing.assert_allclose(shuffled.embeddings, batch.embeddings[order], rtol=0, atol=SAME)
    for row in range(0, 2048, 97):
        alone = vector(tiny_embedder, texts[row])
        np.testing.assert_allclose(alone, batch.embeddings[row], rtol=0, atol=SAME)


def test_four_threads_at_once_get_what_one_gets(tiny_embedder: Embedder) -> None:
    columns = [[f"{CORPUS[row % 6]} {row} {column}" for row in range(300)] for column in range(4)]
    one_by_one = [tiny_embedder.embed(column).embeddings for column in columns]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(tiny_embedder.embed, columns * 3))
    for number, outcomes in enumerate(at_once):
        np.testing.assert_allclose(outcomes.embeddings, one_by_one[number % 4], rtol=0, atol=SAME)


def test_equal_texts_are_embedded_once(tiny: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load_artefact(tiny)
    encoder = embedder._planner._encoder
    seen: list[str] = []
    prepare = encoder.prepare

    def counting(texts: Sequence[str]) -> list:
        seen.extend(texts)
        return prepare(texts)

    monkeypatch.setattr(encoder, "prepare", counting)
    outcomes = embedder.embed(["fox", "dog", "fox", None, "fox", None, ""])
    assert seen == ["fox", "dog"]
    assert np.array_equal(outcomes.embeddings[0], outcomes.embeddings[4])


# Rows that fail.


def test_a_row_that_fails_leaves_its_neighbours_alone(strings_embedder: Embedder) -> None:
    texts: list[str | None] = [f"text {row}" for row in range(40)]
    expected = strings_embedder.embed(texts)
    assert set(expected.statuses) == {"ok"}
    bad = {3: "number: x", 4: "number: y", 20: "not a number", 39: "nothing"}
    for row, text in bad.items():
        texts[row] = text
    outcomes = strings_embedder.embed(texts)
    assert [row for row in range(40) if outcomes.statuses[row] == "error"] == list(bad)
    assert [row for row in range(40) if not outcomes.valid[row]] == list(bad)
    good = [row for row in range(40) if row not in bad]
    assert np.array_equal(outcomes.embeddings[good], expected.embeddings[good])
    assert np.isfinite(outcomes.embeddings).all()


@pytest.mark.parametrize("text", ["number: x", "not a number", "nothing"])
def test_a_row_that_fails_alone_is_an_error_too(strings_embedder: Embedder, text: str) -> None:
    assert strings_embedder.embed([text]).statuses.tolist() == ["error"]


def test_a_text_that_is_no_unicode_is_an_error(strings_embedder: Embedder) -> None:
    outcomes = strings_embedder.embed(["a", "\ud800", "b"])
    assert outcomes.statuses.tolist() == ["ok", "error", "ok"]


def test_a_model_that_always_fails_says_so(strings: Artefact) -> None:
    embedder = load_artefact(strings)
    run = embedder._planner._encoder.run
    embedder._planner._encoder.run = lambda payloads: run([b"number: x" for _ in payloads])
    with pytest.raises(TfEmbeddingsError) as error:
        embedder.embed(["a", "b"])
    message = str(error.value)
    assert message.startswith(
        "tf_embeddings: model 'strings' fails on every text (InvalidArgumentError: "
    )
    assert "could not correctly convert string: x" in message
    assert message.endswith("). Stage the model again with the TensorFlow that is installed here.")
    assert "\n" not in message


# Normalising.


@pytest.fixture(scope="module")
def unit(strings: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """The model of kind `text`, normalised."""
    import zipfile

    from tf_embeddings_udf import read_manifest

    folder = tmp_path_factory.mktemp("unit")
    with zipfile.ZipFile(strings.path) as archive:
        archive.extractall(folder)
    manifest = read_manifest(strings.path)
    parameters = {
        "kind": "text",
        "dimensions": 3,
        "max_tokens": None,
        "encoder": dict(manifest.encoder),
        "packages": ["numpy", "tensorflow"],
    }
    return load_artefact(write_artefact(folder / "model", parameters, folder / "stage"))


def test_lengths_are_one_even_where_a_square_overflows(unit: Embedder) -> None:
    outcomes = unit.embed(["huge", "seven c"])
    np.testing.assert_allclose(outcomes.embeddings[0], [3**-0.5] * 3, rtol=0, atol=1e-7)
    np.testing.assert_allclose(outcomes.embeddings[1], np.array([7, 1, 0]) / 50**0.5, atol=1e-7)


def test_a_zero_vector_is_an_error_never_nan(unit: Embedder) -> None:
    outcomes = unit.embed(["nothing", "something"])
    assert outcomes.statuses.tolist() == ["error", "ok"]
    assert np.isfinite(outcomes.embeddings).all()


def test_without_normalize_the_model_has_the_last_word(strings_embedder: Embedder) -> None:
    assert vector(strings_embedder, "number: 2.5").tolist() == [11, 1, 2.5]


# Batches.


@given(st.lists(st.integers(1, 600)), st.integers(1, 4096))
def test_batches_hold_every_row_once_within_the_budget(costs: list[int], budget: int) -> None:
    cut = list(batches(costs, budget))
    assert sorted(row for batch in cut for row in batch) == list(range(len(costs)))
    for batch in cut:
        longest = max(costs[row] for row in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    lengths = [costs[row] for batch in cut for row in batch]
    assert lengths == sorted(lengths)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.sampled_from(["", " ", "\x00", *CORPUS]),
            st.text(max_size=3 * TOKENS_LIMIT),
        ),
        max_size=30,
    )
)
def test_whatever_the_column_every_row_has_one_outcome(
    tiny_embedder: Embedder, texts: list[str | None]
) -> None:
    outcomes = tiny_embedder.embed(texts)
    for row, text in enumerate(texts):
        status = outcomes.statuses[row]
        assert (status == "null") == (text is None)
        assert (status == "ok") == outcomes.valid[row] == bool(outcomes.embeddings[row].any())
        if status == "ok":
            assert outcomes.token_counts[row] >= 3
            assert outcomes.is_truncated[row] == (outcomes.token_counts[row] > TOKENS_LIMIT)
            assert np.linalg.norm(outcomes.embeddings[row]) == pytest.approx(1, abs=1e-5)
