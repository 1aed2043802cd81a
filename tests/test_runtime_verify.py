"""The report on golden vectors: what agrees, what differs, and on what it was computed."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_artifact
from makers import CORPUS, TOKENS_LIMIT, Artifact, golden_of, save_text_model, write_artifact
from tf_embeddings_udf import Embedder, TfEmbeddingsError, unpack
from tf_embeddings_udf.verify import report

SAME = 1e-6

Golden = dict[str, Any]
Report = Callable[[Golden | None], dict[str, Any]]


@pytest.fixture
def golden(tiny_embedder: Embedder) -> Golden:
    return golden_of(tiny_embedder, [*CORPUS, "dog " * TOKENS_LIMIT])


@pytest.fixture
def reported(litert_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path) -> Report:
    """Reports on the small model beside such golden vectors."""

    def report_on(golden: Golden | None) -> dict[str, Any]:
        artifact = write_artifact(*litert_tokens_model, tmp_path / "stage", golden=golden)
        return report(load_artifact(artifact), folder_of(artifact))

    return report_on


def folder_of(artifact: Artifact) -> Path:
    cache = artifact.stage / ".cache"
    return unpack(artifact.path, cache, model=artifact.model, build=artifact.build)


@pytest.mark.parametrize(
    ("engine", "package", "model"),
    [
        ("litert", "ai-edge-litert", "litert_tokens_model"),
        ("tensorflow", "tensorflow", "saved_tokens_model"),
    ],
)
def test_each_engine_agrees_with_what_litert_recorded(
    engine: str,
    package: str,
    model: str,
    golden: Golden,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    saved: tuple[Path, dict[str, Any]] = request.getfixturevalue(model)
    artifact = write_artifact(*saved, tmp_path / "stage", golden=golden)
    came = report(load_artifact(artifact), folder_of(artifact))
    assert json.loads(json.dumps(came, allow_nan=False)) == came
    assert 0 <= came.pop("largest_difference") <= SAME
    assert came.pop("memory_bytes") > 20 << 20, "Python itself takes more"
    assert came.pop("processor").split(", ")[0] == platform.machine()
    assert came == {
        "model": "tiny",
        "version": artifact.version,
        "build": artifact.build,
        "texts": len(CORPUS) + 1,
        "mismatches": [],
        "engine": engine,
        "engine_version": importlib.metadata.version(package),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux names it there")
def test_the_processor_has_a_name_where_linux_says_it(reported: Report, golden: Golden) -> None:
    of_processor = reported(golden)["processor"].removeprefix(platform.machine()).removeprefix(", ")
    assert of_processor in Path("/proc/cpuinfo").read_text(encoding="utf-8")


@pytest.mark.parametrize(("row", "by"), [(0, 0.25), (3, -0.5), (6, 1e-4)])
def test_the_largest_difference_of_any_component(
    reported: Report, golden: Golden, row: int, by: float
) -> None:
    golden["vectors"][row][-1] += by
    golden["vectors"][2][0] += by / 2
    came = reported(golden)
    assert came["largest_difference"] == pytest.approx(abs(by), abs=SAME)
    assert came["mismatches"] == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda golden, row: golden["vectors"].__setitem__(row, None), id="no vector"),
        pytest.param(lambda golden, row: golden["vectors"][row].pop(), id="another length"),
        pytest.param(
            lambda golden, row: golden["token_counts"].__setitem__(row, 99), id="another count"
        ),
        pytest.param(lambda golden, row: golden["texts"].__setitem__(row, " "), id="now blank"),
        pytest.param(lambda golden, row: golden["texts"].__setitem__(row, None), id="now null"),
    ],
)
def test_what_cannot_be_compared_is_no_small_difference(
    reported: Report, golden: Golden, change: Callable[[Golden, int], object]
) -> None:
    for row in (1, 4):
        change(golden, row)
    came = reported(golden)
    assert came["largest_difference"] is None
    assert came["mismatches"] == [1, 4]
    assert came["texts"] == len(CORPUS) + 1


def test_a_text_that_has_no_vector_on_either_side_agrees(reported: Report, golden: Golden) -> None:
    golden["texts"] += [" ", None]
    golden["vectors"] += [None, None]
    golden["token_counts"] += [0, None]
    came = reported(golden)
    assert came["mismatches"] == []
    assert came["largest_difference"] <= SAME


def test_a_model_that_cannot_count_tokens(strings_embedder: Embedder, tmp_path: Path) -> None:
    golden = golden_of(strings_embedder, ["a", "abc"])
    assert golden["token_counts"] == [None, None]
    parameters = save_text_model(tmp_path / "model")
    artifact = write_artifact(
        tmp_path / "model", parameters, tmp_path / "stage", golden=golden, normalize=False
    )
    came = report(load_artifact(artifact), folder_of(artifact))
    assert (came["texts"], came["largest_difference"], came["mismatches"]) == (2, 0.0, [])


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"texts": ["a"], "vectors": ["?"], "token_counts": [1]}',
        b'{"texts": [7], "vectors": [null], "token_counts": [1]}',
        b'{"texts": ["a"], "vectors": [null], "token_counts": []}',
    ],
    ids=["cut short", "a list", "empty", "deep", "no vectors", "a number", "no count"],
)
def test_golden_vectors_that_are_damaged(
    litert_tokens_model: tuple[Path, dict[str, Any]], content: bytes, tmp_path: Path
) -> None:
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage")
    folder = folder_of(artifact)
    (folder / "golden.json").write_bytes(content)
    with pytest.raises(TfEmbeddingsError) as error:
        report(load_artifact(artifact), folder)
    assert str(error.value) == (
        f"tf_embeddings: the artifact {folder.name} holds a golden.json that is damaged, so there "
        "is nothing to verify it by. Stage the model again with: "
        "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )


@pytest.mark.parametrize(
    "golden",
    [
        None,
        {"texts": [], "vectors": [], "token_counts": []},
        {"texts": [None, " "], "vectors": [None, None], "token_counts": [None, 0]},
    ],
)
def test_nothing_to_verify_by(reported: Report, golden: Golden | None) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        reported(golden)
    message = str(error.value)
    assert message.startswith("tf_embeddings: the artifact tiny-v")
    assert message.endswith(
        "holds no golden vectors, so there is nothing to verify it by. Stage the model again "
        "with: python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
    )
