"""MiniLM through the runtime and through SQL: one text, one vector, whatever is around it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import Artifact
from test_duckdb_plugin import connect
from tf_embeddings_udf import Embedder

ORACLE = Path(__file__).parent / "fixtures" / "minilm_sentence_transformers.json"

ORACLE_TOLERANCE = 1e-5  # per component, against PyTorch; 2.5e-7 was measured
SAME = 1e-6  # per component, whatever else is in the batch; 2.3e-7 was measured


@pytest.fixture(scope="module")
def oracle() -> dict[str, Any]:
    return json.loads(ORACLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["minilm_embedder", "minilm_on_tensorflow_embedder"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    """MiniLM, on each engine in turn."""
    return request.getfixturevalue(request.param)


def test_the_engines_give_the_same_vectors(
    minilm_embedder: Embedder, minilm_on_tensorflow_embedder: Embedder, oracle: dict[str, Any]
) -> None:
    litert, tensorflow = minilm_embedder, minilm_on_tensorflow_embedder
    assert [litert.engine.name, tensorflow.engine.name] == ["litert", "tensorflow"]
    assert litert.manifest.version == tensorflow.manifest.version
    came = litert.embed(oracle["texts"]).embeddings
    expected = tensorflow.embed(oracle["texts"]).embeddings
    np.testing.assert_allclose(came, expected, rtol=0, atol=SAME)


def test_what_is_beyond_the_limit_changes_nothing(embedder: Embedder) -> None:
    words = "horse " * 254
    outcomes = embedder.embed([words, words + "dog", words + "dog " * 50_000])
    assert outcomes.token_counts.tolist() == [256, 257, 50_256]
    assert outcomes.is_truncated.tolist() == [False, True, True]
    for vector in outcomes.embeddings[1:]:
        np.testing.assert_allclose(vector, outcomes.embeddings[0], rtol=0, atol=SAME)


def test_a_text_is_the_same_alone_in_2048_and_in_any_order(
    embedder: Embedder, oracle: dict[str, Any]
) -> None:
    """The oracle's texts among 2,048 short ones, from front to back and shuffled."""
    texts = [*oracle["texts"], *(f"{number} horses" for number in range(2048))][:2048]
    batch = embedder.embed(texts)
    order = np.random.default_rng(7).permutation(len(texts))
    shuffled = embedder.embed([texts[row] for row in order])
    np.testing.assert_allclose(shuffled.embeddings, batch.embeddings[order], rtol=0, atol=SAME)
    for row in range(0, 60):
        singly = embedder.embed([texts[row]]).embeddings[0]
        np.testing.assert_allclose(singly, batch.embeddings[row], rtol=0, atol=SAME)


def test_four_threads_at_once_get_what_one_gets(embedder: Embedder, oracle: dict[str, Any]) -> None:
    texts = oracle["texts"]
    expected = embedder.embed(texts).embeddings
    with ThreadPoolExecutor(4) as threads:
        forward = threads.map(embedder.embed, [texts] * 4)
        backward = threads.map(embedder.embed, [texts[::-1]] * 4)
        for one, other in zip(forward, backward, strict=True):
            np.testing.assert_allclose(one.embeddings, expected, rtol=0, atol=SAME)
            np.testing.assert_allclose(other.embeddings[::-1], expected, rtol=0, atol=SAME)


def test_the_same_numbers_come_out_of_sql(minilm: Artifact, oracle: dict[str, Any]) -> None:
    with connect(minilm.stage) as conn:
        conn.execute("create table texts as select unnest($1) as text", [oracle["texts"]])
        rows = conn.execute(
            f"select r.embedding, r.token_count, r.is_truncated, r.status from "
            f"(select text, {minilm.function}(text, false) as r from texts)"
        ).fetchall()
    np.testing.assert_allclose(
        np.array([row[0] for row in rows]), oracle["vectors"], rtol=0, atol=ORACLE_TOLERANCE
    )
    assert [row[1] for row in rows] == oracle["token_counts"]
    assert {row[3] for row in rows} == {"ok"}


@pytest.mark.parametrize(
    ("text", "status", "token_count"),
    [
        (None, "null", None),
        ("", "blank", 0),
        ("   ", "blank", 0),
        ("\x00", "blank", 0),
        ("\u200b\u200d", "blank", 0),
        ("😀", "ok", 3),
        ("before\x00after", "ok", None),
        ("x" * 100_000, "ok", 3),
        ("a b " * 25_000, "ok", 50_002),
        ("English, русский, 中文 and العربية", "ok", None),
        ("نص حكيم له سر قاطع", "ok", None),
    ],
)
def test_what_becomes_of_a_text_in_sql(
    minilm: Artifact, text: str | None, status: str, token_count: int | None
) -> None:
    with connect(minilm.stage) as conn:
        row = conn.execute(f"select {minilm.function}($1, false)", [text]).fetchall()[0][0]
    assert row["status"] == status
    assert (row["embedding"] is not None) == (status == "ok")
    if status == "ok":
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-6)
    if token_count is not None or status == "null":
        assert row["token_count"] == token_count
