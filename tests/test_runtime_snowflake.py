"""The handlers of Snowflake's functions: in this process, in fresh ones, and on old packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import encoder_makers
import numpy as np
import pandas as pd
import pytest
from conftest import load_artifact
from makers import CORPUS, Artifact, golden_of, write_artifact
from tf_embeddings_udf import Embedder, TfEmbeddingsError, embedder, snowflake
from tf_embeddings_udf.snowflake import embed_texts, verify_artifact

ORACLE = Path(__file__).parent / "fixtures" / "minilm_sentence_transformers.json"
STAGE_TINY = "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"
SAME = 1e-6

PINNED = "tf_embeddings: model 'tiny' (version {version}, build {build}): "


@pytest.fixture
def on_snowflake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The import directory of a function that runs in this process."""
    imports = tmp_path / "imports"
    imports.mkdir()
    monkeypatch.setitem(sys._xoptions, "snowflake_import_directory", f"{imports}/")
    monkeypatch.setattr(snowflake, "UNPACKED_IN", tmp_path / "tmp")
    snowflake._unpacked.cache_clear()
    yield imports
    snowflake._unpacked.cache_clear()


def names(artifact: Artifact) -> dict[str, str]:
    return {"model": artifact.model, "version": artifact.version, "build": artifact.build}


def imported(artifact: Artifact, imports: Path) -> dict[str, str]:
    """Import an artifact; return what names it in a call."""
    (imports / artifact.path.name).symlink_to(artifact.path)
    return names(artifact)


def frame_of(
    texts: Sequence[object], dtype: object = "string", tokens_only: Sequence[object] | None = None
) -> pd.DataFrame:
    only = pd.Series([False] * len(texts) if tokens_only is None else list(tokens_only))
    return pd.DataFrame({0: pd.Series(list(texts), dtype=cast("Any", dtype)), 1: only})


def error_of(texts: Sequence[object], **names: str) -> str:
    with pytest.raises(TfEmbeddingsError) as error:
        embed_texts(frame_of(texts, object), **names)
    return str(error.value)


# What comes out.


def test_a_text_becomes_what_the_embedder_gives(
    tiny: Artifact, tiny_embedder: Embedder, on_snowflake: Path
) -> None:
    texts = [*CORPUS, "a b " * 30]
    came = embed_texts(frame_of(texts), **imported(tiny, on_snowflake))
    expected = tiny_embedder.embed(texts)
    assert [row["status"] for row in came] == ["ok"] * 7
    assert [row["token_count"] for row in came] == expected.token_counts.tolist()
    assert [row["is_truncated"] for row in came] == expected.is_truncated.tolist()
    assert came.iloc[6]["is_truncated"] is True
    vectors = np.array([row["embedding"] for row in came])
    np.testing.assert_allclose(vectors, expected.embeddings, rtol=0, atol=SAME)


def test_snowflake_gets_plain_python_types(tiny: Artifact, on_snowflake: Path) -> None:
    """It refuses a NumPy float."""
    came = embed_texts(frame_of(["the fox", "", None]), **imported(tiny, on_snowflake))
    assert type(came) is pd.Series
    assert came.dtype == object
    for row in came:
        assert type(row) is dict
        assert list(row) == ["embedding", "token_count", "is_truncated", "status"]
        assert type(row["status"]) is str
    good, blank, null = came
    assert type(good["embedding"]) is list
    assert {type(number) for number in good["embedding"]} == {float}
    assert type(good["token_count"]) is int
    assert type(good["is_truncated"]) is bool
    assert blank == {"embedding": None, "token_count": 0, "is_truncated": False, "status": "blank"}
    assert null == {
        "embedding": None,
        "token_count": None,
        "is_truncated": None,
        "status": "null",
    }


@pytest.mark.parametrize(
    ("nothing", "dtype"),
    [
        (pd.NA, "string"),
        (pd.NA, object),
        (None, object),
        (float("nan"), object),
        (np.float64("nan"), object),
        (None, "str" if pd.__version__ >= "3" else "string"),
        (pd.NA, "string[pyarrow]"),
    ],
)
def test_null_has_many_forms(
    tiny: Artifact, on_snowflake: Path, nothing: object, dtype: object
) -> None:
    frame = frame_of(["the fox", nothing, "nan"], dtype)
    came = embed_texts(frame, **imported(tiny, on_snowflake))
    assert [row["status"] for row in came] == ["ok", "null", "ok"]


def test_a_batch_of_nulls_alone(tiny: Artifact, on_snowflake: Path) -> None:
    """Their column has no type that says text."""
    of_tiny = imported(tiny, on_snowflake)
    for frame in (frame_of([None, None], object), frame_of([np.nan, np.nan], float)):
        came = embed_texts(frame, **of_tiny)
        assert [row["status"] for row in came] == ["null", "null"]


@pytest.mark.parametrize("frame", [frame_of([]), frame_of([], object), pd.DataFrame()])
def test_an_empty_batch_needs_no_model(tiny: Artifact, frame: pd.DataFrame) -> None:
    came = embed_texts(frame, **names(tiny))
    assert (len(came), came.dtype) == (0, object)


def test_the_rows_of_the_frame_are_kept(tiny: Artifact, on_snowflake: Path) -> None:
    """Whatever its index says: a result is matched by place or by index, and both are right."""
    frame = frame_of(["the fox", "the dog"])
    frame.index = pd.Index([7, 3])
    came = embed_texts(frame, **imported(tiny, on_snowflake))
    assert came.index.tolist() == [7, 3]


def test_a_bad_row_is_an_error_beside_good_ones(strings: Artifact, on_snowflake: Path) -> None:
    """This kind of model cannot count tokens."""
    texts = ["abc", "number: x", None, " "]
    came = embed_texts(frame_of(texts), **imported(strings, on_snowflake))
    assert came.tolist() == [
        {"embedding": embedding, "token_count": None, "is_truncated": None, "status": status}
        for embedding, status in [
            ([3.0, 1.0, 0.0], "ok"),
            (None, "error"),
            (None, "null"),
            (None, "blank"),
        ]
    ]


@pytest.mark.parametrize(
    "tokens_only",
    [
        [True, False, True, False, True],
        pd.array([True, pd.NA, True, False, True], "boolean"),
        np.array([True, False, np.True_, None, True], object),
        np.array([1.0, np.nan, 1.0, 0.0, 1.0]),
    ],
)
def test_a_batch_may_mix_what_is_embedded_and_what_is_counted(
    tiny: Artifact, tiny_embedder: Embedder, on_snowflake: Path, tokens_only: Sequence[object]
) -> None:
    texts = ["the fox", "the fox", "a b " * 30, None, " "]
    frame = frame_of(texts, object, tokens_only)
    came = embed_texts(frame, **imported(tiny, on_snowflake)).tolist()
    expected = tiny_embedder.embed(["the fox"]).embeddings[0]
    np.testing.assert_allclose(came[1].pop("embedding"), expected, rtol=0, atol=SAME)
    assert came[1] == {"token_count": 4, "is_truncated": False, "status": "ok"}
    keys = ("embedding", "token_count", "is_truncated", "status")
    others = [came[row] for row in (0, 2, 3, 4)]
    assert [tuple(row[key] for key in keys) for row in others] == [
        (None, 4, False, "ok"),
        (None, 62, True, "ok"),
        (None, None, None, "null"),
        (None, 0, False, "blank"),
    ]


def test_what_is_no_boolean(tiny: Artifact, on_snowflake: Path) -> None:
    of_tiny = imported(tiny, on_snowflake)
    with pytest.raises(TfEmbeddingsError) as error:
        embed_texts(frame_of(["fox", "dog"], tokens_only=[True, "no"]), **of_tiny)
    assert str(error.value) == PINNED.format(**of_tiny) + (
        "tokens_only of row 1 of the batch is a str, not a boolean. Cast it to BOOLEAN."
    )


def test_two_models_in_one_process(tiny: Artifact, strings: Artifact, on_snowflake: Path) -> None:
    """One query may call both functions, and they share /tmp."""
    of_tiny, of_strings = (imported(one, on_snowflake) for one in (tiny, strings))
    lengths = {
        len(embed_texts(frame_of(["abc"]), **of_one).iloc[0]["embedding"])
        for of_one in (of_tiny, of_strings, of_tiny)
    }
    assert lengths == {8, 3}


def test_threads_load_the_model_once(
    tiny: Artifact, tiny_embedder: Embedder, on_snowflake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, int]] = []
    actual = embedder.load

    def counting(folder: Path | str, threads: int = 0) -> Embedder:
        loaded.append((Path(folder).name, threads))
        return actual(folder, threads)

    monkeypatch.setattr(embedder, "load", counting)
    of_tiny = imported(tiny, on_snowflake)
    expected = tiny_embedder.embed(CORPUS).embeddings
    with ThreadPoolExecutor(8) as threads:
        for came in threads.map(lambda _: embed_texts(frame_of(CORPUS), **of_tiny), range(16)):
            vectors = np.array([row["embedding"] for row in came])
            np.testing.assert_allclose(vectors, expected, rtol=0, atol=SAME)
    assert loaded == [(f"tiny-{tiny.version}-{tiny.build}", 1)]


# What is wrong.


def test_elsewhere_than_on_snowflake(tiny: Artifact) -> None:
    assert error_of(["the fox"], **names(tiny)) == PINNED.format(**names(tiny)) + (
        "there is no import directory: Python was not started with "
        "-X snowflake_import_directory=<folder>/, as Snowflake starts it. Elsewhere, call "
        "tf_embeddings_udf.load(tf_embeddings_udf.unpack(…))."
    )


@pytest.mark.parametrize("others", [[], ["a.zip", "other.py"]])
def test_an_artifact_that_is_not_imported(
    tiny: Artifact, on_snowflake: Path, others: list[str]
) -> None:
    for name in others:
        (on_snowflake / name).touch()
    assert error_of(["the fox"], **names(tiny)) == PINNED.format(**names(tiny)) + (
        f"the artifact tiny-{tiny.build}.zip is not among the function's imports (they are: "
        f"{', '.join(others) or 'none'}). Stage it with: {STAGE_TINY} --target <target>"
    )


def test_a_pin_of_another_version(tiny: Artifact, on_snowflake: Path) -> None:
    wrong = {**imported(tiny, on_snowflake), "version": "v111111111111"}
    assert error_of(["the fox"], **wrong) == PINNED.format(**wrong) + (
        f"the artifact tiny-{tiny.build}.zip is version {tiny.version}. Correct the pin in var "
        f"tf_embeddings_models; to write it again: {STAGE_TINY}"
    )


def test_a_pin_of_other_dimensions_is_an_error_before_any_text_is_embedded(
    tiny: Artifact, on_snowflake: Path
) -> None:
    """What embeds casts its vectors to the pin's length: after the work was done."""
    of_tiny = imported(tiny, on_snowflake)
    frame = frame_of(["the fox"])
    frame.attrs["dimensions"] = 8
    assert embed_texts(frame, **of_tiny).iloc[0]["status"] == "ok"
    frame.attrs["dimensions"] = 384
    with pytest.raises(TfEmbeddingsError) as error:
        embed_texts(frame, **of_tiny)
    assert str(error.value) == PINNED.format(**of_tiny) + (
        f"the artifact tiny-{tiny.build}.zip has 8 dimensions, and the pin says 384. Correct the "
        f"pin in var tf_embeddings_models; to write it again: {STAGE_TINY}"
    )


def test_a_damaged_artifact(tiny: Artifact, on_snowflake: Path) -> None:
    content = bytearray(tiny.path.read_bytes())
    content[len(content) // 2] ^= 1
    (on_snowflake / tiny.path.name).write_bytes(content)
    message = error_of(["the fox"], **names(tiny))
    assert message.startswith(PINNED.format(**names(tiny)) + "the artifact '")
    assert "cannot be used: 'model/model.tflite' is not as its manifest says." in message
    assert message.endswith(f"stage the model again with: {STAGE_TINY}")


def test_a_package_that_the_function_lacks(
    saved_tokens_model: tuple[Path, dict[str, Any]], tmp_path: Path, on_snowflake: Path
) -> None:
    folder, parameters = saved_tokens_model
    packages = ["numpy", "a-package-that-is-missing"]
    artifact = write_artifact(folder, {**parameters, "packages": packages}, tmp_path / "stage")
    of_artifact = imported(artifact, on_snowflake)
    assert error_of(["the fox"], **of_artifact) == PINNED.format(**of_artifact) + (
        "the function lacks Python packages: a-package-that-is-missing. Correct 'packages' in the "
        f"pin in var tf_embeddings_models; to write it again: {STAGE_TINY}"
    )


@pytest.mark.parametrize(("value", "kind"), [(3, "int"), (b"fox", "bytes"), (1.5, "float")])
def test_what_is_no_text(tiny: Artifact, on_snowflake: Path, value: object, kind: str) -> None:
    of_tiny = imported(tiny, on_snowflake)
    assert error_of(["the fox", None, value], **of_tiny) == PINNED.format(**of_tiny) + (
        f"row 2 of the batch is a {kind}, not a text. Cast what is embedded to VARCHAR."
    )


def test_an_artifact_without_golden_vectors_is_not_verified(
    tiny: Artifact, on_snowflake: Path
) -> None:
    of_tiny = imported(tiny, on_snowflake)
    with pytest.raises(TfEmbeddingsError) as error:
        verify_artifact(**of_tiny)
    assert str(error.value) == PINNED.format(**of_tiny) + (
        f"the artifact tiny-{tiny.version}-{tiny.build} holds no golden vectors, so there is "
        f"nothing to verify it by. Stage the model again with: {STAGE_TINY}"
    )


# A process as Snowflake starts it: the zip on sys.path, the runtime from within.


@pytest.fixture(scope="module")
def zipped(
    saved_tokens_model: tuple[Path, dict[str, Any]],
    tiny_embedder: Embedder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Artifact:
    """The small model with its golden vectors and the runtime, as the CLI packs it."""
    return write_artifact(
        *saved_tokens_model,
        tmp_path_factory.mktemp("zipped_stage"),
        with_runtime=True,
        golden=golden_of(tiny_embedder, CORPUS),
    )


BODIES = """
import pandas
from tf_embeddings_udf.snowflake import embed_texts

def embed(frame):
    frame.attrs['dimensions'] = {dimensions}
    return embed_texts(frame, model='{model}', version='{version}', build='{build}')

embed._sf_vectorized_input = pandas.DataFrame
embed._sf_max_batch_size = 512

from tf_embeddings_udf.snowflake import verify_artifact

def verify():
    return verify_artifact(model='{model}', version='{version}', build='{build}')
"""


def run_beside(
    artifact: Artifact, tmp: Path, code: str, *, asked: object = None, python: object = None
) -> Any:  # noqa: ANN401
    """Define the functions of an artifact in a fresh process and run code; returns its JSON."""
    lines = [
        "import json, os, sys",
        f"sys.path.insert(0, {str(artifact.path)!r})",
        BODIES.format(**names(artifact), dimensions=artifact.dimensions),
        "import tf_embeddings_udf.snowflake as runtime",
        f"assert runtime.__file__.startswith({str(artifact.path)!r}), runtime.__file__",
        "assert str(runtime.UNPACKED_IN) == '/tmp'",
        f"runtime.UNPACKED_IN = type(runtime.UNPACKED_IN)({str(tmp)!r})",
        "assert not {'ai_edge_litert', 'tensorflow', 'tokenizers'} & sys.modules.keys()",
        "asked = json.load(sys.stdin)",
        code,
    ]
    option = f"snowflake_import_directory={artifact.path.parent}/"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(python or sys.executable), "-X", option, "-c", "\n".join(lines)],
        input=json.dumps(asked),
        cwd=tmp,
        env={**clean, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


EMBED_ASKED = """
frame = pandas.DataFrame({0: pandas.Series(asked, dtype='string'), 1: False})
print(json.dumps({'rows': embed(frame).tolist(), 'verified': verify()}, allow_nan=False))
"""


def test_the_artifact_alone_is_enough(
    zipped: Artifact, tiny_embedder: Embedder, tmp_path: Path
) -> None:
    """Its own runtime runs, out of the zip; no module of this repository is on the path."""
    came = run_beside(zipped, tmp_path, EMBED_ASKED, asked=[*CORPUS, None, " "])
    statuses = [row["status"] for row in came["rows"]]
    assert statuses == [*["ok"] * len(CORPUS), "null", "blank"]
    vectors = [row["embedding"] for row in came["rows"][: len(CORPUS)]]
    expected = tiny_embedder.embed(CORPUS).embeddings
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=SAME)
    verified = came["verified"]
    assert {key: verified[key] for key in ("model", "version", "build", "texts")} == {
        **names(zipped),
        "texts": len(CORPUS),
    }
    assert verified["largest_difference"] <= SAME
    assert os.listdir(tmp_path) == [f"tiny-{zipped.version}-{zipped.build}"]


FORK = """
frame = pandas.DataFrame({0: pandas.Series(asked, dtype='string'), 1: False})
for _ in range(2):
    child = os.fork()
    if not child:
        statuses = [row['status'] for row in embed(frame)]
        os._exit(0 if statuses == ['ok', 'null'] else 1)
    assert os.waitpid(child, 0)[1] == 0
heavy = {'ai_edge_litert', 'tensorflow', 'tokenizers'}
print(json.dumps(sorted(heavy & sys.modules.keys())))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_snowflake_may_import_before_it_forks(zipped: Artifact, tmp_path: Path) -> None:
    """TensorFlow loaded in the parent would hang its children."""
    assert run_beside(zipped, tmp_path, FORK, asked=["the fox", None]) == []


# The oldest packages beside the newest.

VERSIONS = EMBED_ASKED + "assert pandas.__version__ == '2.1.4', pandas.__version__\n"


@pytest.mark.exhaustive
def test_the_small_model_runs_on_snowflakes_anaconda_channel(
    zipped: Artifact, tiny_embedder: Embedder, anaconda_python: Path, tmp_path: Path
) -> None:
    texts = [*CORPUS, None, "", "a b " * 30]
    came = run_beside(zipped, tmp_path, VERSIONS, asked=texts, python=anaconda_python)
    expected = tiny_embedder.embed(texts)
    assert [row["status"] for row in came["rows"]] == expected.statuses.tolist()
    assert [row["token_count"] or 0 for row in came["rows"]] == expected.token_counts.tolist()
    vectors = [row["embedding"] or [0.0] * 8 for row in came["rows"]]
    np.testing.assert_allclose(vectors, expected.embeddings, rtol=0, atol=SAME)
    assert came["verified"]["engine_version"] == "2.17.0"
    assert came["verified"]["numpy"] == "1.26.4"
    assert came["verified"]["largest_difference"] <= SAME


@pytest.mark.exhaustive
def test_sentencepiece_and_a_tf1_module_run_on_snowflakes_anaconda_channel(
    anaconda_python: Path, tmp_path: Path
) -> None:
    """Universal Sentence Encoder lite's format, on TensorFlow 2.17 and SentencePiece 0.1.99."""
    made = encoder_makers.save_use_lite_module(tmp_path / "model")
    parameters = {
        "kind": "sentencepiece",
        "dimensions": made.dimensions,
        "max_tokens": None,
        "encoder": {
            "tags": [],
            "signature": "default",
            "values": "values",
            "indices": "indices",
            "dense_shape": "dense_shape",
            "output": "default",
            "sentencepiece": encoder_makers.USE_LITE_TOKENIZER,
            "max_tokens": None,
        },
        "packages": ["numpy", "sentencepiece", "tensorflow"],
        "normalize": False,
    }
    plain = write_artifact(made.path, parameters, tmp_path / "plain")
    artifact = write_artifact(
        made.path,
        parameters,
        tmp_path / "stage",
        with_runtime=True,
        golden=golden_of(load_artifact(plain), CORPUS),
    )
    code = VERSIONS + "assert sys.modules['sentencepiece'].__version__ == '0.1.99'\n"
    texts = [*CORPUS, "the lazy dog " * 40, "你好 😀 42"]
    came = run_beside(artifact, tmp_path, code, asked=texts, python=anaconda_python)
    vectors = [row["embedding"] for row in came["rows"]]
    np.testing.assert_allclose(vectors, made.direct(texts), rtol=0, atol=SAME)
    assert made.tokens is not None
    counts = [len(made.tokens(text)) for text in texts]
    assert [row["token_count"] for row in came["rows"]] == counts
    assert came["verified"]["engine_version"] == "2.17.0"
    assert came["verified"]["largest_difference"] <= SAME


@pytest.mark.exhaustive
def test_minilm_made_with_the_newest_tensorflow_runs_on_2_17(
    minilm_on_tensorflow: Artifact,
    minilm_embedder: Embedder,
    anaconda_python: Path,
    tmp_path: Path,
) -> None:
    """Its vectors are LiteRT's of today, too: 2.9e-7 was measured."""
    texts = json.loads(ORACLE.read_text(encoding="utf-8"))["texts"]
    assert len(texts) == 35
    came = run_beside(minilm_on_tensorflow, tmp_path, VERSIONS, asked=texts, python=anaconda_python)
    expected = minilm_embedder.embed(texts)
    vectors = [row["embedding"] for row in came["rows"]]
    np.testing.assert_allclose(vectors, expected.embeddings, rtol=0, atol=SAME)
    assert [row["token_count"] for row in came["rows"]] == expected.token_counts.tolist()
    assert came["verified"]["engine_version"] == "2.17.0"
    assert came["verified"]["mismatches"] == []
    assert came["verified"]["largest_difference"] <= SAME
