"""Fixtures that the tests share. Models are saved once a session; see makers.py."""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import makers
import pytest
from tf_embeddings_udf import Embedder, load, unpack
from tf_embeddings_udf.lock import locked
from warm_worker import warm_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pages import Finished
    from snowflake_projects import LocalSnowflake
    from tf_embeddings_staging.fetching.fetch import Source

STAGING = Path(__file__).parents[1] / "scripts" / "tf_embeddings_staging"

# dbt holds so many objects that looking for garbage takes a fifth of each call.
gc.set_threshold(100_000, 50, 50)

# What is fetched and built is kept in the repository, for the processes of the tests too.
os.environ.setdefault("TF_EMBEDDINGS_CACHE", str(Path(__file__).parents[1] / ".cache" / "staging"))

# The connector asks each cloud's metadata server at first, and waits for what does not answer.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")


# The files that take minutes: who came to one of them last would keep the others waiting.
_LONG = ("demo_project", "every_encoder", "pages", "staging_snowflake", "operations_snowflake")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in _LONG)


Saved = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def staging_forks_its_workers() -> Iterator[None]:
    """See warm_worker.py."""
    with warm_workers():
        yield


@pytest.fixture(scope="session")
def made_models() -> Path:
    """A folder for models that take long to make: kept for as long as their makers stay."""
    makers_of = [Path(makers.__file__), STAGING / "conversion" / "litert.py"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in makers_of))
    digest.update(importlib.metadata.version("tensorflow").encode())
    folder = Path(__file__).parents[1] / ".cache" / "models" / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def saved_tokens_model(made_models: Path) -> Saved:
    """The folder of a small SavedModel of kind `tokens`, and its parameters."""
    return kept(made_models / "tokens", lambda folder: (folder, makers.save_tokens_model(folder)))


@pytest.fixture(scope="session")
def litert_tokens_model(saved_tokens_model: Saved, made_models: Path) -> Saved:
    """The same, converted to LiteRT: what runs it is light."""
    return kept(made_models / "litert", lambda folder: makers.convert(*saved_tokens_model, folder))


@pytest.fixture(scope="session")
def breakable_model(made_models: Path) -> Saved:
    """Like `litert_tokens_model`, but the words '<nan>' and '<outside>' break it."""

    def make(folder: Path) -> Saved:
        parameters = makers.save_tokens_model(folder / "saved", breakable=True)
        return makers.convert(folder / "saved", parameters, folder / "litert")

    return kept(made_models / "breakable", make)


def kept(folder: Path, make: Callable[[Path], Saved]) -> Saved:
    """Make a model, once for all processes of the tests; return its folder and its parameters."""
    note = folder.with_suffix(".json")
    with locked(folder.with_suffix(".lock")):
        if not note.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            path, parameters = make(folder)
            note.write_text(json.dumps([str(path.relative_to(folder)), parameters]))
    inner, parameters = json.loads(note.read_text())
    return folder / inner, parameters


@pytest.fixture(scope="session")
def tiny(litert_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """A small model of kind `tokens` on LiteRT, staged; 8 dimensions, at most 16 tokens."""
    return makers.write_artifact(*litert_tokens_model, tmp_path_factory.mktemp("tiny_stage"))


@pytest.fixture(scope="session")
def tiny_with_runtime(
    litert_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory
) -> makers.Artifact:
    """`tiny` with the runtime in its artifact, which a function on Snowflake needs."""
    folder = tmp_path_factory.mktemp("tiny_runtime_stage")
    return makers.write_artifact(*litert_tokens_model, folder, with_runtime=True)


@pytest.fixture(scope="session")
def tiny_on_tensorflow(
    saved_tokens_model: Saved, tmp_path_factory: pytest.TempPathFactory
) -> makers.Artifact:
    """The same model on TensorFlow: of the same version."""
    return makers.write_artifact(*saved_tokens_model, tmp_path_factory.mktemp("tensorflow_stage"))


@pytest.fixture(scope="session")
def strings(tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """A small model of kind `text`, not normalized, staged; some texts break it."""
    folder = tmp_path_factory.mktemp("strings") / "model"
    parameters = makers.save_text_model(folder)
    stage = tmp_path_factory.mktemp("strings_stage")
    return makers.write_artifact(folder, parameters, stage, model="strings", normalize=False)


@pytest.fixture(scope="session")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """A Keras model that takes strings, staged."""
    folder = tmp_path_factory.mktemp("keras") / "model"
    parameters = makers.save_keras_model(folder)
    stage = tmp_path_factory.mktemp("keras_stage")
    return makers.write_artifact(folder, parameters, stage, model="keras_model")


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """The real MiniLM on LiteRT, staged by the CLI's own code."""
    return stage_minilm(tmp_path_factory.mktemp("minilm_stage"))


@pytest.fixture(scope="session")
def minilm_on_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """The same on TensorFlow, as for Snowflake's Anaconda channel."""
    return stage_minilm(tmp_path_factory.mktemp("minilm_tensorflow_stage"), engine="tensorflow")


def stage_minilm(stage: Path, engine: str | None = None) -> makers.Artifact:
    """Build MiniLM, once for all processes of the tests, and put it on a stage."""
    from tf_embeddings_staging.cache import cache_folder
    from tf_embeddings_staging.catalogue import catalogue

    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / ".minilm.lock"):
        return build_and_put(catalogue()["minilm"], "minilm", stage, engine)


def build_and_put(
    source: Source, name: str, stage: Path, engine: str | None = None
) -> makers.Artifact:
    """Build a model by the CLI's own code, unless the cache has it, and put it on a stage."""
    from tf_embeddings_staging.building.build import build
    from tf_embeddings_staging.cache import cache_folder
    from tf_embeddings_staging.options import Options
    from tf_embeddings_staging.progress import Report
    from tf_embeddings_staging.warehouse.stage import put

    report = Report()
    cache_folder().mkdir(parents=True, exist_ok=True)
    built = build(source, name, cache_folder(), report, Options(engine=engine))
    path = put(built, stage, report)
    return makers.Artifact(
        path,
        built.model,
        built.version,
        built.build,
        built.dimensions,
        kind=built.kind,
        packages=built.packages,
    )


@pytest.fixture(scope="session")
def ranker(made_models: Path, tmp_path_factory: pytest.TempPathFactory) -> makers.Artifact:
    """A small cross-encoder on LiteRT, staged; at most 30 tokens, words of one fixture."""
    import small_ranker
    from tf_embeddings_staging.sources import Local

    folder = made_models / "ranker"
    with locked(made_models / "ranker.lock"):
        shutil.rmtree(folder, ignore_errors=True)
        small_ranker.make(folder)
        return build_and_put(Local(folder), "ranker", tmp_path_factory.mktemp("ranker_stage"))


@pytest.fixture(scope="session")
def anaconda_python() -> Path:
    """A Python with the packages of Snowflake's Anaconda channel: TensorFlow 2.17, pandas 2.1."""
    if sys.version_info >= (3, 13):
        pytest.skip("TensorFlow 2.17 exists only for Python 3.12 and older")
    default = Path(sys.prefix) / "anaconda" / "bin" / "python"
    python = Path(os.environ.get("LOCAL_SNOWFLAKE_ANACONDA_PYTHON") or default)
    if not python.is_file():
        pytest.fail(f"{python} is missing, Snowflake's Anaconda channel: make test installs it")
    return python


def unpacked(artifact: makers.Artifact) -> Path:
    """Unpack an artifact beside its stage; return the folder."""
    cache = artifact.stage / ".cache"
    return unpack(artifact.path, cache, model=artifact.model, build=artifact.build)


def load_artifact(artifact: makers.Artifact) -> Embedder:
    """Unpack an artifact beside its stage, and load it."""
    return load(unpacked(artifact))


@pytest.fixture(scope="session")
def tiny_embedder(tiny: makers.Artifact) -> Embedder:
    return load_artifact(tiny)


@pytest.fixture(scope="session")
def tiny_on_tensorflow_embedder(tiny_on_tensorflow: makers.Artifact) -> Embedder:
    return load_artifact(tiny_on_tensorflow)


@pytest.fixture(scope="session", params=["litert", "tensorflow"])
def tokens_model_on_each(request: pytest.FixtureRequest) -> Saved:
    """The small model of kind `tokens`, for each engine in turn."""
    name = {"litert": "litert_tokens_model", "tensorflow": "saved_tokens_model"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture(scope="session")
def tiny_on_each(tokens_model_on_each: Saved, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """The small model, loaded, on each engine in turn."""
    return load_artifact(
        makers.write_artifact(*tokens_model_on_each, tmp_path_factory.mktemp("each_stage"))
    )


@pytest.fixture(scope="session")
def minilm_embedder(minilm: makers.Artifact) -> Embedder:
    return load_artifact(minilm)


@pytest.fixture(scope="session")
def minilm_on_tensorflow_embedder(minilm_on_tensorflow: makers.Artifact) -> Embedder:
    return load_artifact(minilm_on_tensorflow)


@pytest.fixture(scope="session")
def strings_embedder(strings: makers.Artifact) -> Embedder:
    return load_artifact(strings)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """What a reader has at the end of a page; all processes of the tests share it."""
    from pages import Finished

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pages"
    folder.mkdir(exist_ok=True)
    return Finished(folder)


@pytest.fixture(scope="session")
def local_snowflake() -> Iterator[LocalSnowflake]:
    """A local Snowflake; each test makes a database of its own in it."""
    from snowflake_projects import serve

    with serve() as server:
        yield server
