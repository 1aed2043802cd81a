from __future__ import annotations

import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_artifact, unpacked
from hypothesis import given
from hypothesis import strategies as st
from makers import CORPUS, TOKENS_LIMIT, Artifact, write_artifact
from tf_embeddings_udf import Embedder, TfEmbeddingsError, load, read_manifest
from tf_embeddings_udf.planner import batches

SAME = 1e-6  # per component: the same text, whatever else is in the batch


def vector(embedder: Embedder, text: str) -> np.ndarray:
    outcomes = embedder.embed([text])
    assert outcomes.statuses.tolist() == ["ok"]
    return outcomes.embeddings[0]


# What becomes of a row.


def test_null_and_blank_have_no_vector(tiny_on_each: Embedder) -> None:
    texts = [None, "", "   ", "\t\r\n", "\u00a0\u2003", "\x00", "\u200b", "the fox"]
    outcomes = tiny_on_each.embed(texts)
    assert outcomes.statuses.tolist() == ["null", *["blank"] * 6, "ok"]
    assert outcomes.valid.tolist() == [False] * 7 + [True]
    assert outcomes.counted.tolist() == [False] + [True] * 7
    assert outcomes.token_counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 4]
    assert not outcomes.embeddings[:7].any()


def test_no_rows_and_only_rows_without_text(tiny_on_each: Embedder) -> None:
    assert tiny_on_each.embed([]).embeddings.shape == (0, 8)
    assert tiny_on_each.embed([None]).statuses.tolist() == ["null"]
    assert tiny_on_each.embed([""]).statuses.tolist() == ["blank"]


@pytest.mark.parametrize(
    "text", ["😀", "нос 鼻 أنف nose", "نص حكيم", "a\x00b", "!", "x" * 100_000, "a b " * 25_000]
)
def test_any_text_has_a_vector_of_length_one(tiny_on_each: Embedder, text: str) -> None:
    assert np.linalg.norm(vector(tiny_on_each, text)) == pytest.approx(1, abs=1e-6)


def test_outcomes_are_typed_as_a_warehouse_needs_them(tiny_on_each: Embedder) -> None:
    outcomes = tiny_on_each.embed(["the fox", None])
    assert outcomes.embeddings.dtype == np.float32
    assert outcomes.embeddings.flags.c_contiguous
    assert outcomes.token_counts.dtype == np.int32
    assert {outcomes.valid.dtype, outcomes.counted.dtype, outcomes.is_truncated.dtype} == {
        np.dtype(bool)
    }


# The same text, the same vector.


def test_a_text_is_the_same_alone_in_a_batch_in_any_order(tiny_on_each: Embedder) -> None:
    texts = [f"{CORPUS[row % 6]} {row % 700}" for row in range(2048)]
    batch = tiny_on_each.embed(texts)
    order = np.random.default_rng(7).permutation(2048)
    shuffled = tiny_on_each.embed([texts[row] for row in order])
    np.testing.assert_allclose(shuffled.embeddings, batch.embeddings[order], rtol=0, atol=SAME)
    for row in range(0, 2048, 97):
        singly = vector(tiny_on_each, texts[row])
        np.testing.assert_allclose(singly, batch.embeddings[row], rtol=0, atol=SAME)


def test_four_threads_at_once_get_what_one_gets(tiny_on_each: Embedder) -> None:
    columns = [[f"{CORPUS[row % 6]} {row} {column}" for row in range(300)] for column in range(4)]
    one_by_one = [tiny_on_each.embed(column).embeddings for column in columns]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(tiny_on_each.embed, columns * 3))
    for number, outcomes in enumerate(at_once):
        np.testing.assert_allclose(outcomes.embeddings, one_by_one[number % 4], rtol=0, atol=SAME)


def test_a_column_of_many_batches_is_what_its_rows_are_alone(tiny: Artifact) -> None:
    """On LiteRT batches run on several interpreters at once, the longest first."""
    folder = unpacked(tiny)
    one, four = load(folder, threads=1), load(folder, threads=4)
    texts = [f"{CORPUS[row % 6]} {row}" for row in range(3000)]
    assert len(list(batches([12] * 3000, four._planner.encoder.budget))) > 50
    expected, came = one.embed(texts), four.embed(texts)
    assert came.statuses.tolist() == expected.statuses.tolist()
    np.testing.assert_allclose(came.embeddings, expected.embeddings, rtol=0, atol=SAME)


def test_a_failure_among_many_batches_is_raised(tiny: Artifact) -> None:
    embedder = load(unpacked(tiny), threads=4)

    def run(payloads: Sequence[Any]) -> np.ndarray:
        raise TfEmbeddingsError(f"the model was run on {len(payloads)}")

    embedder._planner.encoder.run = run
    with pytest.raises(TfEmbeddingsError, match="the model was run on"):
        embedder.embed([f"{CORPUS[row % 6]} {row}" for row in range(3000)])


def test_equal_texts_are_embedded_once(tiny: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load_artifact(tiny)
    encoder = embedder._planner.encoder
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


def test_a_row_that_fails_leaves_its_neighbors_alone(strings_embedder: Embedder) -> None:
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


def test_a_model_that_always_fails_says_so(strings: Artifact) -> None:
    embedder = load_artifact(strings)
    run = embedder._planner.encoder.run
    embedder._planner.encoder.run = lambda payloads: run([b"number: x" for _ in payloads])
    with pytest.raises(TfEmbeddingsError) as error:
        embedder.embed(["a", "b"])
    message = str(error.value)
    assert message.startswith(
        "tf_embeddings: model 'strings' fails on every text (InvalidArgumentError: "
    )
    assert "could not correctly convert string: x" in message
    assert message.endswith("). Stage the model again with the packages that are installed here.")
    assert "\n" not in message
    assert "{{" not in message, "where in its graph it was is TensorFlow's own business"
    assert "[[" not in message


# Normalizing.


def repacked(artifact: Artifact, folder: Path, **overrides: Any) -> Embedder:  # noqa: ANN401
    """The model of kind `text` with other fields in its manifest."""
    with zipfile.ZipFile(artifact.path) as archive:
        archive.extractall(folder)
    manifest = read_manifest(artifact.path)
    parameters = {
        "kind": "text",
        "engine": "tensorflow",
        "dimensions": manifest.dimensions,
        "max_tokens": None,
        "encoder": dict(manifest.encoder),
        "packages": ["numpy", "tensorflow"],
        **overrides,
    }
    return load_artifact(write_artifact(folder / "model", parameters, folder / "stage"))


@pytest.fixture(scope="module")
def unit(strings: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """The model of kind `text`, normalized."""
    return repacked(strings, tmp_path_factory.mktemp("unit"))


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


# The prefix.


def variant(saved: tuple[Path, dict[str, Any]], stage: Path, **overrides: Any) -> Embedder:  # noqa: ANN401
    """The small model of kind `tokens` with other fields in its manifest."""
    return load_artifact(write_artifact(*saved, stage, **overrides))


def test_the_prefix_stands_before_each_text(
    tokens_model_on_each: tuple[Path, dict[str, Any]], tmp_path: Path, tiny_on_each: Embedder
) -> None:
    """It takes part in the vector, in the count of tokens and in the limit."""
    texts = [*CORPUS, "the lazy dog " * 4, "fox " * 13, "\U0001f600", "\n fox "]
    came = variant(tokens_model_on_each, tmp_path, prefix="query: ").embed(texts)
    expected = tiny_on_each.embed([f"query: {text}" for text in texts])
    np.testing.assert_allclose(came.embeddings, expected.embeddings, rtol=0, atol=SAME)
    assert came.token_counts.tolist() == expected.token_counts.tolist()
    assert came.is_truncated.tolist() == expected.is_truncated.tolist()
    plain = tiny_on_each.embed(texts)
    assert (came.token_counts > plain.token_counts).all()
    assert came.is_truncated.sum() > plain.is_truncated.sum()


def test_a_text_without_tokens_is_blank_behind_a_prefix_too(
    tokens_model_on_each: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    embedder = variant(tokens_model_on_each, tmp_path, prefix="query: ")
    outcomes = embedder.embed(["", " ", "\u200b", "\x00", None, "fox"])
    assert outcomes.statuses.tolist() == [*["blank"] * 4, "null", "ok"]
    assert outcomes.token_counts[:5].tolist() == [0] * 5
    assert not outcomes.is_truncated.any()


def test_a_prefix_for_a_model_that_takes_strings(strings: Artifact, tmp_path: Path) -> None:
    embedder = repacked(strings, tmp_path, normalize=False, prefix="number: ")
    outcomes = embedder.embed(["2.5", "x", " ", None, "\ud800"])
    assert outcomes.statuses.tolist() == ["ok", "error", "blank", "null", "error"]
    assert outcomes.embeddings[0].tolist() == [11, 1, 2.5]


# Fewer dimensions than the model's.


def test_the_first_numbers_are_kept_and_then_normalized(
    tokens_model_on_each: tuple[Path, dict[str, Any]], tmp_path: Path, tiny_on_each: Embedder
) -> None:
    """As for Matryoshka models, https://arxiv.org/abs/2205.13147: first cut, then normalized."""
    folder, parameters = tokens_model_on_each
    cut = {**parameters, "dimensions": 3}
    embedder = variant((folder, cut), tmp_path, model_dimensions=8)
    came = embedder.embed([*CORPUS, None])
    assert came.embeddings.shape == (7, 3)
    assert came.embeddings.flags.c_contiguous
    first = tiny_on_each.embed(CORPUS).embeddings[:, :3].astype(np.float64)
    expected = first / np.linalg.norm(first, axis=1, keepdims=True)
    np.testing.assert_allclose(came.embeddings[:6], expected, rtol=0, atol=SAME)


def test_without_normalizing_the_first_numbers_are_the_models(
    strings: Artifact, tmp_path: Path
) -> None:
    embedder = repacked(strings, tmp_path, dimensions=2, model_dimensions=3, normalize=False)
    assert vector(embedder, "number: 2.5").tolist() == [11, 1]


# Only counting.


def without_its_model(embedder: Embedder) -> Embedder:
    """Make it fail where the model would run."""

    def run(payloads: Sequence[Any]) -> np.ndarray:
        raise TfEmbeddingsError(f"the model was run on {len(payloads)}")

    embedder._planner.encoder.run = run
    return embedder


COUNTED = ["the fox", None, "", "a b " * 30, "\u200b", "the fox", *CORPUS]


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_tokens_are_counted_without_running_the_model(
    tokens_model_on_each: tuple[Path, dict[str, Any]], tmp_path: Path, prefix: str
) -> None:
    expected = variant(tokens_model_on_each, tmp_path, prefix=prefix).embed(COUNTED)
    embedder = without_its_model(variant(tokens_model_on_each, tmp_path, prefix=prefix))
    counted = embedder.count(COUNTED)
    assert not counted.valid.any()
    assert not counted.embeddings.any()
    for field in ("statuses", "token_counts", "is_truncated", "counted"):
        assert getattr(counted, field).tolist() == getattr(expected, field).tolist()
    with pytest.raises(TfEmbeddingsError, match="the model was run"):
        embedder.embed(COUNTED)


def test_counting_where_the_kind_cannot(strings: Artifact) -> None:
    counted = without_its_model(load_artifact(strings)).count(["a", "", None, "\ud800"])
    assert counted.statuses.tolist() == ["ok", "blank", "null", "error"]
    assert not counted.counted.any()


@given(st.lists(st.tuples(st.sampled_from(COUNTED), st.booleans()), max_size=20))
def test_a_column_may_mix_both(tiny_on_each: Embedder, rows: list[tuple[str | None, bool]]) -> None:
    texts, tokens_only = [text for text, _ in rows], [only for _, only in rows]
    mixed = tiny_on_each.outcomes(texts, tokens_only)
    embedded = tiny_on_each.embed(texts)
    assert mixed.valid.tolist() == (embedded.valid & ~np.array(tokens_only, bool)).tolist()
    expected = np.where(mixed.valid[:, None], embedded.embeddings, 0)
    np.testing.assert_allclose(mixed.embeddings, expected, rtol=0, atol=SAME)
    for field in ("statuses", "token_counts", "is_truncated", "counted"):
        assert getattr(mixed, field).tolist() == getattr(embedded, field).tolist()


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
    tiny_on_each: Embedder, texts: list[str | None]
) -> None:
    outcomes = tiny_on_each.embed(texts)
    for row, text in enumerate(texts):
        status = outcomes.statuses[row]
        assert (status == "null") == (text is None)
        assert (status == "ok") == outcomes.valid[row] == bool(outcomes.embeddings[row].any())
        if status == "ok":
            assert outcomes.token_counts[row] >= 3
            assert outcomes.is_truncated[row] == (outcomes.token_counts[row] > TOKENS_LIMIT)
            assert np.linalg.norm(outcomes.embeddings[row]) == pytest.approx(1, abs=1e-5)
