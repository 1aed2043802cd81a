"""The functions on any DuckDB connection: in a notebook, an app, a forked server."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from makers import Artifact
from tf_embeddings_duckdb import register
from tf_embeddings_udf import Embedder, TfEmbeddingsError
from tf_embeddings_udf.engines import litert
from tf_embeddings_udf.errors import cancellation

SAME_VECTOR = 1e-6


def embedding(connection: duckdb.DuckDBPyConnection, artifact: Artifact, text: str) -> np.ndarray:
    sql = f"select {artifact.function}(?, false).embedding"
    [(vector,)] = connection.execute(sql, [text]).fetchall()
    return np.array(vector)


def staged_models(connection: duckdb.DuckDBPyConnection) -> list[str]:
    [(listed,)] = connection.execute("select tf_embeddings_staged()").fetchall()
    return [one["model"] for one in json.loads(listed)]


def test_a_question_is_embedded_on_a_read_only_connection(
    tiny: Artifact, tiny_embedder: Embedder, tmp_path: Path
) -> None:
    texts = ["the quick brown fox", "where is my invoice", "a person on a sunny day"]
    vectors = tiny_embedder.embed(texts).embeddings
    with duckdb.connect(tmp_path / "dev.duckdb") as connection:
        connection.execute("create table docs (body varchar, embedding float[8])")
        connection.executemany(
            "insert into docs values (?, ?)",
            [[text, vector.tolist()] for text, vector in zip(texts, vectors, strict=True)],
        )

    with duckdb.connect(tmp_path / "dev.duckdb", read_only=True) as connection:
        register(connection, tiny.stage)
        found = connection.cursor().execute(
            f"select body from docs order by array_cosine_similarity(embedding, "
            f"{tiny.function}('my invoice', false).embedding) desc limit 1"
        )
        expected = tiny_embedder.embed(["my invoice"]).embeddings[0]
        cosines = vectors @ expected / np.linalg.norm(vectors, axis=1)
        assert found.fetchall() == [(texts[int(cosines.argmax())],)]
        came = embedding(connection, tiny, "my invoice")
        np.testing.assert_allclose(came, expected, rtol=0, atol=SAME_VECTOR)


def test_a_connection_is_registered_again_for_another_stage_folder(
    tiny: Artifact, strings: Artifact
) -> None:
    with duckdb.connect() as connection:
        register(connection, tiny.stage)
        assert staged_models(connection) == ["tiny"]
        register(connection, strings.stage)
        assert staged_models(connection) == ["strings"]
        assert staged_models(connection.cursor()) == ["strings"]
        assert len(embedding(connection, tiny, "fox")) == 8


def test_a_canceled_run_ends_the_running_calls_but_no_later_ones(
    tiny: Artifact, tiny_embedder: Embedder
) -> None:
    """Once, every registered connection failed after dbt was interrupted in a notebook."""
    started = cancellation.current()
    cancellation.cancel()
    for tokens_only in ([False, False], [False, True]):
        with pytest.raises(TfEmbeddingsError, match="the query was canceled"):
            tiny_embedder.outcomes(["fox", "dog"], tokens_only, started)
    with duckdb.connect() as connection:
        register(connection, tiny.stage)
        assert len(embedding(connection, tiny, "fox")) == 8
        cancellation.cancel()
        assert len(embedding(connection, tiny, "fox")) == 8


ARROW = {
    "arrow_large_buffer_size": ["true"],
    "arrow_lossless_conversion": ["true"],
    "arrow_output_list_view": ["true"],
    "arrow_output_version": ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"],
    "produce_arrow_string_view": ["true"],
}


def answers(connection: duckdb.DuckDBPyConnection, artifact: Artifact) -> list[Any]:
    """Embed and count over several of DuckDB's chunks, with constants and NULLs."""
    call = f"{artifact.function}(body, tokens_only)"
    texts = """
      select 'fox ' || i as body, i % 2 = 0 as tokens_only from range(3000) as numbers(i)
      union all select null, true union all select 'a fox', null union all select null, null
    """
    constants = [f"('a fox', {only})" for only in ("false", "true", "null")] + ["(null, true)"]
    calls = ", ".join(artifact.function + arguments for arguments in constants)
    sql = f"select body, tokens_only, {call} from ({texts}) order by all"
    return connection.execute(sql).fetchall() + connection.execute(f"select {calls}").fetchall()


@pytest.mark.parametrize(
    "settings",
    [
        *([(name, value)] for name, values in ARROW.items() for value in values),
        [(name, values[-1]) for name, values in ARROW.items()],
    ],
    ids=lambda settings: " ".join("=".join(one) for one in settings),
)
def test_every_form_in_which_duckdb_hands_rows_over(
    tiny: Artifact, settings: list[tuple[str, str]]
) -> None:
    """Once, every call failed with arrow_lossless_conversion."""
    with duckdb.connect() as connection:
        register(connection, tiny.stage)
        expected = answers(connection, tiny)
    with duckdb.connect() as connection:
        register(connection, tiny.stage)
        known = connection.execute("select name from duckdb_settings() where name like '%arrow%'")
        assert {name for (name,) in known.fetchall()} <= ARROW.keys()
        for name, value in settings:
            connection.execute(f"set {name} = '{value}'")
        assert answers(connection, tiny) == expected


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"stage": ""}, "stage: ''. Give the path of a folder."),
        ({"cache": ""}, "cache: ''. Give the path of a folder."),
        ({"threads": -1}, "threads: -1. Give a whole number, or 0 for all cores."),
        ({"threads": "2"}, "threads: '2'. Give a whole number, or 0 for all cores."),
    ],
)
def test_a_wrong_argument_is_named(given: dict[str, Any], says: str) -> None:
    with duckdb.connect() as connection, pytest.raises(TfEmbeddingsError) as error:
        register(connection, **given)
    assert str(error.value) == f"tf_embeddings: register got {says}"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def exit_code_in_a_fork(call: Callable[[], object]) -> int:
    """Return 0 if a call succeeds in a forked child, and -14 if it does not end in a minute."""
    child = os.fork()
    if not child:
        code = 1
        signal.alarm(60)
        try:
            call()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_embeds_in_a_connection_of_its_own(tiny: Artifact) -> None:
    """Once, a server that forked after loading waited forever for its parent's threads."""
    with duckdb.connect() as connection:
        register(connection, tiny.stage)
        expected = embedding(connection, tiny, "the fox")

    def embed() -> None:
        with duckdb.connect() as connection:
            register(connection, tiny.stage)
            came = embedding(connection, tiny, "the fox")
            np.testing.assert_allclose(came, expected, rtol=0, atol=SAME_VECTOR)

    assert exit_code_in_a_fork(embed) == 0


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_that_tensorflow_does_not_survive(
    tiny_on_tensorflow: Artifact, tiny_on_tensorflow_embedder: Embedder
) -> None:
    assert tiny_on_tensorflow_embedder.embed(["the fox"]).valid.all()

    def embed() -> None:
        with duckdb.connect() as connection:
            register(connection, tiny_on_tensorflow.stage)
            with pytest.raises(duckdb.InvalidInputException) as error:
                embedding(connection, tiny_on_tensorflow, "the fox")
        assert (
            "tf_embeddings: model 'tiny' runs on TensorFlow, which ran before this process was "
            "forked, and its threads do not survive a fork. Start processes with "
            "multiprocessing's 'spawn'."
        ) in str(error.value)

    assert exit_code_in_a_fork(embed) == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_calls_run_at_once_than_the_threads_allow(
    tiny: Artifact, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """However many threads DuckDB has: each interpreter takes half as much memory as its model."""
    lock = threading.Lock()
    running, most, made = 0, 0, 0
    make, run = litert._Interpreter.__init__, litert._Interpreter.run

    def counting_make(self: Any, source: Any, threads: int) -> None:  # noqa: ANN401
        nonlocal made
        made += 1
        make(self, source, threads)

    def counting_run(self: Any, inputs: Any) -> np.ndarray:  # noqa: ANN401
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        for _ in range(200):  # long enough for other calls to arrive
            run(self, inputs)
        with lock:
            running -= 1
        return run(self, inputs)

    monkeypatch.setattr(litert._Interpreter, "__init__", counting_make)
    monkeypatch.setattr(litert._Interpreter, "run", counting_run)
    with duckdb.connect() as connection:
        register(connection, tiny.stage, cache=tiny.stage / f"cache_{threads}", threads=threads)
        cursors = [connection.cursor() for _ in range(8)]

        def embed(cursor: duckdb.DuckDBPyConnection) -> int:
            return len([embedding(cursor, tiny, f"fox {one}") for one in range(10)])

        with ThreadPoolExecutor(len(cursors)) as callers:
            assert list(callers.map(embed, cursors)) == [10] * len(cursors)
    assert most <= threads
    assert made <= threads
