"""What runs a model: LiteRT where it gives TensorFlow's vectors, and TensorFlow where not; and why.

Every model here is real, and so is every difference: nothing is patched.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bert_folder
import encoder_makers
import graph_makers
import makers
import numpy as np
import pytest
import tf_embeddings_udf
from duckdb_projects import make_project
from encoder_makers import bert_tokens, truncated
from graph_makers import Tensor, save_ids
from rich.console import Console
from staging_cli import stage_model, staged_files
from tf_embeddings_staging.building.artifact import Artifact
from tf_embeddings_staging.building.build import build
from tf_embeddings_staging.building.probe import TEXTS as GOLDEN_TEXTS
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.process import run
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local
from tf_embeddings_udf import Embedder, read_manifest

TOLERANCE = 1e-6
LIMIT = 16

TEXTS = [
    "fox",
    "the quick brown fox",
    "how do i reset my password and where is my invoice",
    "one two three four five six seven",
    "съешь же ещё этих мягких французских булок",
    " ".join(makers.CORPUS),
]

LITERT = re.compile(
    r"Engine of m: LiteRT\. Its vectors are TensorFlow's: on 315 texts no component differs by "
    r"more than \d\.\de-\d\d of a vector's length\.\n"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def built(path: Path, cache: Path, options: Options | None = None) -> tuple[Artifact, str]:
    """Build an artifact; return it and what the user reads."""
    console = Console(record=True, width=1000)
    artifact = build(Local(path), "m", cache, Report(console), options)
    return artifact, console.export_text()


def loaded(artifact: Artifact, cache: Path) -> Embedder:
    return tf_embeddings_udf.load(unpacked(artifact, cache))


def unpacked(artifact: Artifact, cache: Path) -> Path:
    return tf_embeddings_udf.unpack(
        artifact.path, cache / "unpacked", model=artifact.model, build=artifact.build
    )


def sentence_of(said: str) -> str:
    """The line that says which engine it is."""
    (line,) = (line for line in said.splitlines() if line.startswith("Engine of "))
    return f"{line}\n"


def refusal(path: Path, cache: Path, options: Options) -> str:
    """What is said of a model that is not staged, of which nothing is kept."""
    before = set(cache.rglob("*.zip"))
    with pytest.raises(StagingError) as error:
        build(Local(path), "m", cache, Report(Console(quiet=True)), options)
    assert set(cache.rglob("*.zip")) == before
    assert not list((cache / "work").iterdir())
    return str(error.value)


# What runs on LiteRT


def pooled(kind: str) -> Callable[[np.ndarray], np.ndarray]:
    return {"mean": lambda x: x.mean(0), "max": lambda x: x.max(0), "cls": lambda x: x[0]}[kind]


@pytest.mark.parametrize(
    ("how", "options"),
    [
        (
            {"dtype": "int64"},
            Options(pooling="mean", prefix="query: ", normalize=True),
        ),
        pytest.param({}, Options(pooling="max", truncate_dim=5), marks=pytest.mark.exhaustive),
        pytest.param({"length": LIMIT}, Options(pooling="cls"), marks=pytest.mark.exhaustive),
        pytest.param({"masked": False}, Options(pooling="max"), marks=pytest.mark.exhaustive),
        ({"masked": False, "length": LIMIT}, Options(pooling="mean", truncate_dim=3)),
    ],
    ids=["int64", "cut", "fixed length", "no mask", "fixed length, no mask"],
)
def test_a_saved_model_of_ids_runs_on_litert(
    how: dict[str, Any], options: Options, cache: Path, tmp_path: Path
) -> None:
    """Its vectors are those of the same arithmetic in NumPy, one text at a time."""
    folder = save_ids(tmp_path / "model", graph_makers.states, **how)
    options = options.overridden_by(Options(max_tokens=LIMIT))
    artifact, said = built(folder, cache, options)
    assert LITERT.fullmatch(sentence_of(said))
    assert artifact.packages == ("ai-edge-litert", "numpy", "tokenizers")

    tokens = bert_tokens(folder)
    pool = pooled(str(options.pooling))

    def vector(text: str) -> np.ndarray:
        ids = truncated(tokens((options.prefix or "") + text), LIMIT)
        kept = pool(graph_makers.states_in_numpy(ids))[: options.truncate_dim]
        return kept / np.linalg.norm(kept) if options.normalize else kept

    came = loaded(artifact, cache).embed(TEXTS)
    expected = np.array([vector(text) for text in TEXTS])
    assert came.embeddings.shape == expected.shape
    assert np.abs(came.embeddings - expected).max() < TOLERANCE
    assert came.is_truncated.tolist()[-1]


def test_a_bert_folder_runs_on_litert_and_brings_nothing_of_tensorflow(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder", pooling="mean", normalize=True)
    artifact, said = built(folder.path, cache)
    assert LITERT.fullmatch(sentence_of(said))
    manifest = read_manifest(artifact.path)
    assert manifest.engine == artifact.engine == "litert"
    with zipfile.ZipFile(artifact.path) as archive:
        names = set(archive.namelist())
    outside = {name for name in names if not name.startswith("tf_embeddings_udf/")}
    assert outside == {
        "golden.json",
        "manifest.json",
        "model/model.tflite",
        "model/tokenizer.json",
    }
    assert "tf_embeddings_udf/__init__.py" in names
    assert {"signature", "tags", "libraries", "output", "pooling"}.isdisjoint(manifest.encoder)

    # As in the process that probes it, where TensorFlow cannot be imported.
    without_tensorflow(tmp_path / "none", monkeypatch)
    request = {"folder": str(unpacked(artifact, cache)), "texts": TEXTS}
    probed = run("probe", request, tmp_path)
    assert probed["ok"] == [True] * len(TEXTS)
    assert set(probed["measured_with"]) == {"ai-edge-litert", "numpy", "tokenizers"}

    tokens = bert_tokens(folder.path)
    ids = [truncated(tokens(text), 20) for text in TEXTS]
    mask = np.array([[1] * len(one) + [0] * (20 - len(one)) for one in ids])
    padded = np.array([[*one, *[0] * (20 - len(one))] for one in ids])
    expected = bert_folder.embed_in_numpy(folder, padded, mask)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(np.array(probed["vectors"]) - expected).max() < TOLERANCE


def without_tensorflow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the processes that are started find no TensorFlow, and none that imports it live."""
    folder.mkdir()
    for name in ("tensorflow", "keras", "tensorflow_hub", "tf_keras"):
        (folder / f"{name}.py").write_text("raise AssertionError('TensorFlow is imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.exhaustive
def test_universal_sentence_encoder_lites_interface_runs_on_litert(
    cache: Path, tmp_path: Path
) -> None:
    made = encoder_makers.save_use_lite_module(tmp_path / "model")
    artifact, said = built(made.path, cache)
    assert LITERT.fullmatch(sentence_of(said))
    assert artifact.packages == ("ai-edge-litert", "numpy", "sentencepiece")
    assert model_files(artifact) == {"model.tflite", encoder_makers.USE_LITE_TOKENIZER}
    came = loaded(artifact, cache).embed(TEXTS).embeddings
    assert np.abs(came - made.direct(TEXTS)).max() < TOLERANCE


def model_files(artifact: Artifact) -> set[str]:
    files = read_manifest(artifact.path).files
    return {name.removeprefix("model/") for name in files if name.startswith("model/")}


@pytest.mark.exhaustive
def test_padding_that_is_not_a_number_is_no_part_of_a_vector(cache: Path, tmp_path: Path) -> None:
    """0 times NaN is NaN: each row of a batch would have to run again by itself."""
    import tensorflow as tf

    def divided(ids: Tensor, mask: Tensor) -> Tensor:
        shape = tf.shape(ids)
        weights = tf.reshape(tf.cast(mask, tf.float32), [shape[0], shape[1], 1])
        return graph_makers.states(ids) * weights / weights

    folder = save_ids(tmp_path / "model", divided)
    artifact, said = built(folder, cache, Options(pooling="mean", max_tokens=LIMIT))
    assert LITERT.fullmatch(sentence_of(said))
    embedder = loaded(artifact, cache)
    encoder = embedder._planner.encoder
    vectors = encoder.run([one.payload for one in encoder.prepare(TEXTS)])
    assert np.isfinite(vectors).all()


# What stays on TensorFlow


def on_tensorflow(why: str) -> str:
    return f"Engine of m: TensorFlow. LiteRT is lighter, but {why}.\n"


def test_a_model_of_strings_stays_on_tensorflow(cache: Path, tmp_path: Path) -> None:
    made = encoder_makers.save_serving_default_text(tmp_path / "model")
    artifact, said = built(made.path, cache)
    why = "the model takes strings, and LiteRT has no ops for them"
    assert sentence_of(said) == on_tensorflow(why)
    assert "Converting" not in said
    assert (artifact.engine, artifact.packages) == ("tensorflow", ("numpy", "tensorflow"))

    assert refusal(made.path, cache, Options(engine="litert")) == (
        f"--engine litert: m cannot run on LiteRT: {why}. Leave --engine out, and it runs on "
        "TensorFlow."
    )


def new_axis(ids: Tensor, mask: Tensor) -> Tensor:
    import tensorflow as tf

    weights = tf.cast(mask, tf.float32)[:, :, None]
    return tf.reduce_sum(graph_makers.states(ids) * weights, 1) / tf.reduce_sum(weights, 1)


NEW_AXIS = "it does not convert: LiteRT has no StridedSlice of this form"


@pytest.mark.exhaustive
def test_a_new_axis_of_an_open_shape_is_named_as_what_litert_lacks(
    cache: Path, tmp_path: Path
) -> None:
    folder = save_ids(tmp_path / "model", new_axis)
    artifact, said = built(folder, cache, Options(max_tokens=LIMIT))
    assert sentence_of(said) == on_tensorflow(NEW_AXIS)
    assert artifact.packages == ("numpy", "tensorflow", "tokenizers")
    assert "saved_model.pb" in model_files(artifact)
    assert "model.tflite" not in model_files(artifact)


def test_where_litert_is_asked_for_and_cannot_be_nothing_is_staged(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    folder = save_ids(tmp_path / "model", new_axis)
    options = ["--name", "m", "--max-tokens", "16", "--engine", "litert", "--write"]
    before = (project.folder / "dbt_project.yml").read_text()
    done = stage_model(project, folder, *options, TF_EMBEDDINGS_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        f"stage_model: --engine litert: m cannot run on LiteRT: {NEW_AXIS}. Leave --engine out, "
        "and it runs on TensorFlow.\n"
    )
    assert "Traceback" not in done.stderr
    assert not staged_files(project)
    assert not list((tmp_path / "cache").rglob("*.zip"))
    assert (project.folder / "dbt_project.yml").read_text() == before


def as_whole_numbers(ids: Tensor, mask: Tensor) -> Tensor:
    """Return numbers whose whole parts no int32 holds: each engine makes another number of them."""
    import tensorflow as tf

    vectors = 1e12 * graph_makers.mean(ids, mask)
    return tf.cast(tf.cast(vectors, tf.int32) // 1000, tf.float32)


def test_a_model_that_converts_and_gives_other_vectors_stays_on_tensorflow(
    cache: Path, tmp_path: Path
) -> None:
    folder = save_ids(tmp_path / "model", as_whole_numbers)
    artifact, said = built(folder, cache, Options(max_tokens=LIMIT))
    found = re.fullmatch(
        r"Engine of m: TensorFlow\. LiteRT is lighter, but it converts, and gives other vectors: a "
        r"component differs by (\S+) of a vector's length, more than 1e-05\.\n",
        sentence_of(said),
    )
    assert found
    assert float(found[1]) > 1e-3
    assert (artifact.engine, "model.tflite" in model_files(artifact)) == ("tensorflow", False)
    assert refusal(folder, cache, Options(max_tokens=LIMIT, engine="litert")).startswith(
        "--engine litert: m cannot run on LiteRT: it converts, and gives other vectors: "
    )


def converted(folder: Path, work: Path) -> dict[str, Any]:
    """What the worker answers of a model that the converter is given."""
    parameters = {
        "kind": "tokens",
        "dimensions": graph_makers.WIDTH,
        "max_tokens": LIMIT,
        "encoder": {
            "signature": "serving_default",
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "token_type_ids": None,
            "output": "vector",
            "tokenizer": "tokenizer.json",
            "max_tokens": LIMIT,
        },
        "packages": ["numpy", "tensorflow", "tokenizers"],
    }
    artifact = makers.write_artifact(folder, parameters, work / "stage")
    with zipfile.ZipFile(artifact.path) as archive:
        archive.extractall(work / "laid_out")
    target = work / "target"
    (target / "model").mkdir(parents=True)
    (target / "model/tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    request = {"folder": str(work / "laid_out"), "target": str(target)}
    return run("convert_litert", request, work) or run("compare_litert", request, work)


def in_words(ids: Tensor, mask: Tensor) -> Tensor:
    import tensorflow as tf

    digits = tf.strings.length(tf.strings.as_string(ids[:, 0]))
    return graph_makers.mean(ids, mask) + tf.reshape(tf.cast(digits, tf.float32), [-1, 1])


def in_a_list(ids: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of a text's states, which a loop appends to a list, as Keras's RNNs do."""
    import tensorflow as tf

    states = graph_makers.states(ids) * tf.cast(mask, tf.float32)[..., tf.newaxis]
    count = tf.shape(ids)[1]
    kept = tf.TensorArray(tf.float32, count, element_shape=[None, graph_makers.WIDTH])
    for place in tf.range(count):
        kept = kept.write(place, states[:, place])
    return tf.reduce_sum(kept.stack(), 0)


@pytest.mark.parametrize(
    ("function", "ops"),
    [(in_words, "AsString, StringLength"), (in_a_list, "TensorListReserve")],
)
def test_why_a_graph_does_not_convert_is_said_without_the_converters_noise(
    function: Callable[..., Tensor], ops: str, tmp_path: Path
) -> None:
    answer = converted(save_ids(tmp_path / "model", function), tmp_path)
    assert answer == {"refused": f"it does not convert: LiteRT has no {ops} of this form"}


@pytest.mark.exhaustive
def test_a_model_without_vectors_is_told_what_is_wrong_with_it_and_not_its_engine(
    cache: Path, tmp_path: Path
) -> None:
    folder = save_ids(tmp_path / "model", lambda ids, mask: 0.0 * graph_makers.mean(ids, mask))
    assert "what comes out is all zeros." in refusal(folder, cache, Options(max_tokens=LIMIT))
    assert refusal(folder, cache, Options(max_tokens=LIMIT, engine="litert")) == (
        "--engine litert: m gives no vectors, with TensorFlow either (none of them is a finite "
        "vector)."
    )


@pytest.mark.exhaustive
def test_what_a_small_machine_cannot_convert_is_no_reason_for_tensorflow(
    tmp_path: Path, cache: Path
) -> None:
    """It would build another artifact than its neighbor."""
    folder = bert_folder.make_folder(tmp_path / "encoder")
    hurried = Hurried(label="Converting to LiteRT")
    with pytest.raises(StagingError) as error:
        build(Local(folder.path), "m", cache, hurried, limits=hurried.limits)
    assert str(error.value).startswith("the conversion to LiteRT did not end within ")
    assert str(error.value).endswith(" Or leave the conversion out with --engine tensorflow.")


class Hurried(Report):
    """A report that ends the patience of the limits when a step begins."""

    def __init__(self, label: str) -> None:
        super().__init__(Console(quiet=True))
        self.limits = Limits()
        self._label = label

    def step(self, label: str) -> Any:  # noqa: ANN401 - a context manager
        if label == self._label:
            object.__setattr__(self.limits, "seconds", 0.01)
        return super().step(label)


# One version, whatever runs it

RECORDED = Path(__file__).parent / "fixtures/staged_by_0_1"


@pytest.mark.parametrize(
    ("model", "options", "version"),
    [
        pytest.param("bert", Options(), "v735aa5c7d483", marks=pytest.mark.exhaustive),
        (
            "bert",
            Options(prefix="query: ", truncate_dim=5, max_tokens=12),
            "v7f93c3087f24",
        ),
        pytest.param(
            "saved_model",
            Options(pooling="mean", max_tokens=16),
            "v70026e4daec8",
            marks=pytest.mark.exhaustive,
        ),
        (
            "saved_model",
            Options(pooling="max", max_tokens=16, normalize=True, truncate_dim=6),
            "vb86c7692f34f",
        ),
    ],
)
def test_the_version_is_that_of_0_1_on_both_engines(
    model: str, options: Options, version: str, cache: Path
) -> None:
    """Recorded with release 0.1, which only had TensorFlow: an upgrade re-embeds nothing."""
    artifact, said = built(RECORDED / model, cache, options)
    assert LITERT.fullmatch(sentence_of(said))
    assert artifact.version == version

    as_then = options.overridden_by(Options(engine="tensorflow"))
    on_tensorflow, said = built(RECORDED / model, cache, as_then)
    assert "Engine of" not in said
    assert on_tensorflow.version == version
    assert on_tensorflow.build != artifact.build
    assert on_tensorflow.packages == ("numpy", "tensorflow", "tokenizers")

    texts = [*TEXTS, *GOLDEN_TEXTS]
    one, other = (loaded(each, cache).embed(texts) for each in (artifact, on_tensorflow))
    assert one.embeddings.shape[1] == artifact.dimensions
    assert np.abs(one.embeddings - other.embeddings).max() < TOLERANCE
    assert one.token_counts.tolist() == other.token_counts.tolist()
    assert one.is_truncated.tolist() == other.is_truncated.tolist()


@pytest.mark.exhaustive
def test_a_prefix_of_other_words_is_another_version(cache: Path) -> None:
    """The versions above tell models apart."""
    one, _ = built(RECORDED / "bert", cache)
    other, _ = built(RECORDED / "bert", cache, Options(prefix="passage: "))
    assert one.version != other.version
