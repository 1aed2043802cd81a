"""From any source to an artifact: what the options of a model change, and what is refused."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import bert_folder
import encoder_makers
import makers
import numpy as np
import pytest
import tf_embeddings_udf
from duckdb_projects import Project, make_project
from encoder_makers import Made
from graph_makers import save_ids
from loopback import gives, serve, speaks_tf_hub
from other_machine import build_elsewhere
from rich.console import Console
from snowflake_projects import LocalSnowflake, make_snowflake_project
from staging_cli import call, stage_model
from tf_embeddings_staging import cli
from tf_embeddings_staging.building.artifact import (
    Artifact,
    is_zip64,
    read_artifact,
    require_size,
    write_golden,
    write_zip,
)
from tf_embeddings_staging.building.build import build, gather, look
from tf_embeddings_staging.building.recipe import recipe
from tf_embeddings_staging.catalogue import (
    Entry,
    Known,
    KnownTokens,
    KnownVector,
    catalogue,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Local, Source, TfHub
from tf_embeddings_staging.warehouse.stage import stage
from tf_embeddings_udf import Embedder, read_manifest
from tf_embeddings_udf.verify import encoded

TEXTS = ["the quick brown fox", "how do i reset my password", "one two three four five six seven"]
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project for dry runs, which do not change it."""
    return make_project(tmp_path_factory.mktemp("built") / "project")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def loaded(artifact: Artifact, cache: Path) -> Embedder:
    folder = tf_embeddings_udf.unpack(
        artifact.path, cache / "unpacked", model=artifact.model, build=artifact.build
    )
    return tf_embeddings_udf.load(folder)


def test_the_options_of_a_model_of_tokens(cache: Path, tmp_path: Path) -> None:
    made = encoder_makers.save_transformers_saved_model(tmp_path / "model", pooling="max")
    options = Options(output="last_hidden_state", pooling="max")
    artifact = build(Local(made.path), "pooled", cache, Report(), options)
    came = loaded(artifact, cache).embed(TEXTS).embeddings
    assert np.abs(came - made.direct(TEXTS)).max() < TOLERANCE


def test_an_output_is_named_by_its_index(cache: Path, tmp_path: Path) -> None:
    made = encoder_makers.save_list_output(tmp_path / "model")
    found = look(Local(made.path), cache, Report(), Options(output="1"), Limits(), None)
    assert (found["encoder"]["output"], found["model_dimensions"]) == ("1", made.dimensions)


def test_prompts_without_a_default_are_told(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder")
    prompts = {"query": "query: ", "passage": "passage: "}
    folder.edit("config_sentence_transformers.json", prompts=prompts)
    with pytest.raises(StagingError, match="did not end within"):
        build(Local(folder.path), "mine", cache, Report(), limits=Limits(seconds=0.01))
    assert capsys.readouterr().err.startswith(
        "Note: this encoder has prompts, and none is its default: query ('query: '), passage "
        "('passage: '). No prefix is put before a text; --prefix TEXT chooses one. Stage the model "
        "under two names for two.\n"
    )


def save_folded(folder: Path) -> Path:
    """Save a model of ids whose table is a product of constants, which the converter computes.

    On two CPUs it has other last digits, unless the converter is kept from their own instructions.
    """
    import tensorflow as tf

    chance = np.random.default_rng(71)
    left = chance.normal(size=(300, 64)).astype(np.float32)
    right = chance.normal(size=(64, 8)).astype(np.float32)

    def embed(ids: Any, mask: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        table = tf.matmul(tf.nn.softmax(tf.sin(tf.constant(left))), right)
        shape = tf.shape(ids)
        weights = tf.reshape(tf.cast(mask, tf.float32), [shape[0], shape[1], 1])
        return tf.reduce_sum(tf.gather(table, ids) * weights, 1) / tf.reduce_sum(weights, 1)

    return save_ids(folder, embed)


@pytest.mark.parametrize(
    ("save", "options", "engine"),
    [
        pytest.param(save_folded, Options(max_tokens=16), "litert", id="folded"),
        pytest.param(
            lambda folder: encoder_makers.save_use_lite_module(folder).path,
            Options(),
            "litert",
            id="use_lite",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            lambda folder: bert_folder.make_folder(folder).path,
            Options(engine="tensorflow"),
            None,
            id="bert on tensorflow",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            lambda folder: encoder_makers.save_keras_file(folder).path,
            Options(),
            None,
            id="keras file",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_source_has_one_build_on_every_machine(
    save: Callable[[Path], Path], options: Options, engine: str | None, tmp_path: Path
) -> None:
    """So a pin in git is right for every colleague, and a file on a stage is known by its size."""
    path = save(tmp_path / "here/model")
    here = build(Local(path), "m", tmp_path / "cache", Report(), options)
    assert here.engine == (engine or "tensorflow")

    copied = tmp_path / "there/of another name" / path.relative_to(tmp_path / "here/model")
    shutil.copytree(tmp_path / "here/model", tmp_path / "there/of another name")
    source = f"Local(Path({str(copied)!r}))"
    there = build_elsewhere(source, "m", tmp_path / "there", repr(options))

    assert there.path.name == here.path.name
    assert (there.version, there.build, there.pin()) == (here.version, here.build, here.pin())
    assert there.path.stat().st_size == here.path.stat().st_size
    assert makers.content_of(there.path) == makers.content_of(here.path)
    assert golden_of(here)["source"]["uri"] != golden_of(there)["source"]["uri"] or path.is_file()
    for artifact in (here, there):
        with zipfile.ZipFile(artifact.path) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
        assert str(tmp_path).encode() not in content


def golden_of(artifact: Artifact) -> dict[str, Any]:
    with zipfile.ZipFile(artifact.path) as archive:
        return json.loads(archive.read("golden.json"))


def test_what_was_measured_does_not_change_the_size_of_golden_json(tmp_path: Path) -> None:
    """Also an address of thousands of characters, and the digests of a thousand files."""
    texts = ["elephant", "Рыба"]

    def size_of(vectors: list[list[float]], **measured: Any) -> int:  # noqa: ANN401
        golden = {
            "texts": texts,
            "vectors": [encoded(np.array(vector)) for vector in vectors],
            "token_counts": [3, 12],
        }
        write_golden(tmp_path, golden, measured)
        written = json.loads((tmp_path / "golden.json").read_bytes())
        assert {name: written[name] for name in golden} == golden
        assert written["memory_bytes"] == measured["memory_bytes"]
        return (tmp_path / "golden.json").stat().st_size

    short = {"source": {"uri": "folder:m", "files": {}}, "license": None}
    far = {"uri": f"https://models.example/{'я' * 20_000}.zip", "files": {}}
    many = {"uri": "folder:m", "files": {f"assets/{n}": "0" * 64 for n in range(1000)}}
    sizes = {
        size_of([[0.0, 1.0], [1.0, 0.0]], **short, memory_bytes=None),
        size_of([[1e-38, -1 / 3], [2e30, 0.1]], **short, memory_bytes=2**40),
        size_of([[0.0, 1.0], [1.0, 0.0]], **{**short, "source": far}, memory_bytes=1),
        size_of([[0.0, 1.0], [1.0, 0.0]], **{**short, "source": many}, memory_bytes=1),
        size_of([[0.0, 1.0], [1.0, 0.0]], source=far, license="L" * 9000, memory_bytes=1),
    }
    assert len(sizes) == 1


def test_what_python_cannot_import_from_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(2**32 - 2**20 - 10)  # which needs no room on the disk
    with pytest.raises(
        StagingError, match=r"would have 4\.0 GiB and 1 files; Python imports from a"
    ):
        require_size(tmp_path)
    (tmp_path / "weights").unlink()
    for number in range(2**16 - 2):
        (tmp_path / f"{number}").touch()
    with pytest.raises(StagingError) as error:
        require_size(tmp_path)
    assert str(error.value) == (
        "the artifact would have 0.0 GiB and 65,534 files; Python imports from a zip of less than "
        "4 GiB and 65,536 files. Choose a smaller model."
    )
    (tmp_path / "0").unlink()
    require_size(tmp_path)


def test_a_zip_has_no_zip64_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zipfile writes them from 2 GiB on, though zipimport reads 4; here, from 1,000 bytes."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a_weights").write_bytes(bytes(1500))
    (tmp_path / "folder/imported.py").write_text("FOUND = 'it'")
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    write_zip(tmp_path / "folder", tmp_path / "ours.zip")
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        archive.write(tmp_path / "folder/a_weights", "a_weights")
    for name, expected in (("ours", False), ("theirs", True)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            assert is_zip64(archive) == expected
    monkeypatch.syspath_prepend(tmp_path / "ours.zip")
    assert importlib.import_module("imported").FOUND == "it"


def test_a_colleagues_artifact_with_other_golden_vectors_is_staged_already(
    project: Project,
    litert_tokens_model: tuple[Path, dict[str, Any]],
    tiny_embedder: Embedder,
    tmp_path: Path,
) -> None:
    """Whose CPU gave the vectors another last digit. It is not copied over theirs."""
    golden = makers.golden_of(tiny_embedder, ["fox"])
    others = {**golden, "vectors": [[number * (1 + 1e-6) for number in golden["vectors"][0]]]}
    mine, theirs = (
        makers.write_artifact(
            *litert_tokens_model, tmp_path / name, golden=given, with_runtime=True
        )
        for name, given in (("mine", golden), ("theirs", others))
    )
    assert mine.path.name == theirs.path.name
    assert mine.path.read_bytes() != theirs.path.read_bytes()
    place = project.stage / "tiny" / theirs.version / theirs.path.name
    place.parent.mkdir(parents=True)
    shutil.copyfile(theirs.path, place)

    done = stage_model(project, mine.path, TF_EMBEDDINGS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert f"tiny is staged already: {place}\n" in done.stderr
    assert place.read_bytes() == theirs.path.read_bytes()

    report = Report()
    assert stage(read_artifact(mine.path), project.stage, report, dry_run=False).was_there
    content = bytearray(theirs.path.read_bytes())
    content[content.index(b"TFL3") + 100] ^= 1
    place.write_bytes(content)
    assert not stage(read_artifact(mine.path), project.stage, report, dry_run=False).was_there
    assert place.read_bytes() == mine.path.read_bytes()


@pytest.mark.exhaustive
def test_a_preprocessor_is_a_part_of_the_version(cache: Path, tmp_path: Path) -> None:
    made = encoder_makers.save_preprocessor_pair(tmp_path / "model")
    preprocessor = tmp_path / "model/preprocessor"
    options = Options(preprocessor=str(preprocessor), output="pooled_output")
    first = build(Local(made.path), "pair", cache, Report(), options)
    manifest = read_manifest(first.path)
    assert manifest.packages == ("numpy", "tensorflow", "tensorflow-text")
    assert manifest.encoder["libraries"] == ["tensorflow_text"]
    assert golden_of(first)["source"]["preprocessor"]["uri"] == "folder:preprocessor"
    assert "preprocessor/saved_model.pb" in manifest.files

    vocabulary = preprocessor / "assets/vocab.txt"
    words = vocabulary.read_text().splitlines()
    vocabulary.write_text("\n".join([*words[:-2], words[-1], words[-2]]) + "\n")
    assert build(Local(made.path), "pair", cache, Report(), options).version != first.version


def recipe_of(path: Path, options: Options | None = None) -> dict[str, Any]:
    """What the artifact of a model on this machine depends on."""
    nowhere = path.parent / "cache"
    given = gather(Local(path), nowhere, Report(), options or Options(), Limits(), None)
    return recipe("mine", given, None)


def test_what_is_built_is_kept_until_its_files_or_options_change(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    makers.save_text_model(folder)
    first = build(Local(folder), "kept", cache, Report())
    assert "Probing" in capsys.readouterr().err
    before = recipe_of(folder)
    (folder / "fingerprint.pb").write_bytes(b"another")
    (folder / ".DS_Store").write_bytes(b"")
    assert build(Local(folder), "kept", cache, Report()) == first
    assert capsys.readouterr().err == f"kept: built before, taken from {first.path}\n"

    assert recipe_of(folder, Options(prefix="a ")) != before
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets/words.txt").write_text("new")
    assert recipe_of(folder) != before


@pytest.mark.exhaustive
def test_what_lies_beside_a_model_of_tokens_is_a_part_of_what_is_kept(tmp_path: Path) -> None:
    """The inspection learns from a folder's name whether vectors are normalized."""
    path = encoder_makers.save_transformers_saved_model(tmp_path / "model").path
    recipes = [recipe_of(path)]
    for change in (
        lambda: (path / "README.md").write_text("of no meaning"),
        lambda: (path / "2_Normalize").mkdir(),
        lambda: (path / "1_Pooling").mkdir(),
        lambda: (path / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}'),
        lambda: (path / "1_Pooling/config.json").write_text('{"pooling_mode": "sum"}'),
        lambda: (path / "tokenizer_config.json").write_text('{"model_max_length": 5}'),
        lambda: (path / "config.json").write_text('{"max_position_embeddings": 7}'),
        lambda: (path / "tokenizer.json").write_text("{}"),
    ):
        change()
        recipes.append(recipe_of(path))
    changed = [one != before for before, one in pairwise(recipes)]
    assert changed == [False, True, False, True, True, False, False, False]


@pytest.fixture(scope="module")
def use_lite(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return encoder_makers.save_use_lite_module(tmp_path_factory.mktemp("hub") / "model")


@pytest.fixture
def entry(
    use_lite: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Entry]]:
    """A model of the catalogue whose handle answers, and of which something is known."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    archive = shutil.make_archive(str(tmp_path / "archive"), "gztar", use_lite.path)
    with serve() as server:
        url = server.at("/files/small.tar.gz", gives(Path(archive).read_bytes()))
        handle = server.at("/us/small/1", speaks_tf_hub(url))

        def made(known: Known, **fields: Any) -> Entry:  # noqa: ANN401
            entry = replace(
                catalogue()["use_lite"],
                sources=(TfHub(handle),),
                dimensions=use_lite.dimensions,
                known=known,
            )
            return replace(entry, **fields)

        yield made


KNOWN_TEXT = "the quick brown fox"
WRONG = "The weights, the conversion or the options are not those of the published model."


def published(made: Made, *, wrong: str) -> Known:
    """What a model gives, as if it were published, with one number changed."""
    assert made.tokens
    vector, ids = made.direct([KNOWN_TEXT])[0][:3].tolist(), made.tokens(KNOWN_TEXT)
    if wrong == "vector":
        vector[1] += 1e-4
    if wrong == "ids":
        ids = [*ids[:-1], ids[-1] + 1]
    return Known(
        vectors=(KnownVector(KNOWN_TEXT, tuple(vector), 1e-5, "a card"),),
        token_ids=(KnownTokens(KNOWN_TEXT, tuple(ids), "a README"),),
    )


def refusal_of(source: Source, cache: Path, options: Options | None = None) -> str:
    """What is said of a model that is not staged, of which nothing is kept."""
    with pytest.raises(StagingError) as error:
        build(source, "small", cache, Report(), options)
    assert not list(cache.rglob("small-b*.zip"))
    assert not list((cache / "work").iterdir())
    return str(error.value)


def test_a_model_that_gives_what_is_published_is_staged(
    entry: Callable[..., Entry], use_lite: Made, tmp_path: Path
) -> None:
    known = published(use_lite, wrong="nothing")
    assert build(entry(known), "small", tmp_path / "cache", Report()).path.is_file()


def test_a_model_that_gives_another_vector_than_is_published_is_refused(
    entry: Callable[..., Entry], use_lite: Made, tmp_path: Path
) -> None:
    """Even where the user says which kind it is."""
    source = entry(published(use_lite, wrong="vector"))
    said = refusal_of(source, tmp_path / "cache", Options(kind="sentencepiece"))
    assert re.fullmatch(
        r"the vector of 'the quick brown fox' starts with \[.*, \.\.\.\], and is published as "
        rf"\[.*, \.\.\.\] \(a card; tolerance 1e-05\)\. {WRONG}",
        said,
    )


@pytest.mark.exhaustive
def test_a_model_that_makes_other_tokens_than_are_published_is_refused(
    entry: Callable[..., Entry], use_lite: Made, tmp_path: Path
) -> None:
    known = published(use_lite, wrong="ids")
    assert use_lite.tokens
    assert refusal_of(entry(known), tmp_path / "cache") == (
        f"the token ids of 'the quick brown fox' come out as {use_lite.tokens(KNOWN_TEXT)}, and "
        f"are published as {list(known.token_ids[0].ids)} (a README). {WRONG}"
    )


@pytest.mark.exhaustive
def test_a_model_of_another_length_than_the_catalogue_says_is_refused(
    entry: Callable[..., Entry], use_lite: Made, tmp_path: Path
) -> None:
    source = entry(published(use_lite, wrong="nothing"), dimensions=512)
    assert refusal_of(source, tmp_path / "cache").startswith(
        "the vectors of use_lite have 8 numbers, and its entry in the catalogue says dimensions: "
        "512. "
    )


def on_a_circle(lengths: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Vectors of length 1, of [length, 1]."""
    import tensorflow as tf

    return tf.concat([tf.sin(lengths[:, :1]), tf.cos(lengths[:, :1])], 1)


@pytest.mark.parametrize(("by_each_neighbor", "is_alone"), [(1e-7, True), (0.0, False)])
def test_a_model_that_sees_the_neighbors_of_a_text_runs_row_by_row(
    cache: Path, tmp_path: Path, by_each_neighbor: float, is_alone: bool
) -> None:
    """The promise is 1e-6 of a vector's length, whatever its length is."""
    import tensorflow as tf

    def vectors(lengths: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        neighbors = tf.cast(tf.shape(lengths)[0], tf.float32)
        return 50 * on_a_circle(lengths) * (1 + by_each_neighbor * neighbors)

    folder = save_lengths(tmp_path / "model", vectors)
    console = Console(record=True, width=1000)
    built_one = build(Local(folder), "long", cache, Report(console))
    said = re.findall(r"long runs row by row, .* by (\d\.\de-\d\d) of", console.export_text())
    assert [1e-6 < float(one) < 1e-4 for one in said] == [True] * is_alone

    raw = json.loads(makers.content_of(built_one.path)["manifest.json"])
    assert raw.get("row_by_row") == (True if is_alone else None)
    with zipfile.ZipFile(built_one.path) as archive:
        golden = json.loads(archive.read("golden.json"))
    assert golden["batch_difference"] <= (0 if is_alone else 1e-6)
    embedder = loaded(built_one, cache)
    singly, among = embedder.embed(["a"]).embeddings, embedder.embed(list("abcdefgh")).embeddings
    assert np.abs(singly - among[:1]).max() <= (0 if is_alone else 50e-6)


@pytest.mark.exhaustive
def test_random_numbers_too_small_for_dropout_are_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def vectors(lengths: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        return on_a_circle(lengths) + tf.random.uniform(tf.shape(lengths), 0, 2e-5)

    folder = save_lengths(tmp_path / "model", vectors)
    assert re.fullmatch(
        r"the model gives the same text a different vector each time \(a component differs by "
        r"[12](\.\d)?e-05 of the vector's length\)\. Save it for inference, without dropout and "
        r"random numbers\.",
        refusal_of(Local(folder), tmp_path / "cache"),
    )


@pytest.mark.exhaustive
def test_statistics_of_a_batch_are_refused_however_short_the_vectors(tmp_path: Path) -> None:
    import tensorflow as tf

    def vectors(lengths: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        circle = on_a_circle(lengths)
        return 1e-5 * (circle - 0.1 * tf.reduce_mean(circle, 0))

    folder = save_lengths(tmp_path / "model", vectors)
    assert refusal_of(Local(folder), tmp_path / "cache").endswith(
        "Save the model for inference, without dropout and batch statistics."
    )


def save_letters(folder: Path, letters: str) -> Path:
    """Save a model of tokens whose tokenizer knows only these letters, and has no [UNK]."""
    from tokenizers import Tokenizer, models

    makers.save_tokens_model(folder)
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    Tokenizer(models.BPE(vocab=vocabulary, merges=[])).save(str(folder / "tokenizer.json"))
    return folder


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.exhaustive
def test_a_golden_text_without_tokens_is_left_out(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_letters(tmp_path / "model", f"{LETTERS} .")
    artifact = build(Local(folder), "letters", cache, Report(), Options(max_tokens=64))
    assert (
        "Left out of the golden vectors, as the model gives them none: '明日は海へ行きます。', "
        "'我们明天去海边。'\n"
    ) in capsys.readouterr().err
    golden = golden_of(artifact)
    assert len(golden["texts"]) == len(golden["vectors"]) == 13
    assert min(golden["token_counts"]) > 0


@pytest.mark.exhaustive
def test_a_tokenizer_that_knows_too_little_is_refused(tmp_path: Path) -> None:
    folder = save_letters(tmp_path / "model", LETTERS)
    assert refusal_of(Local(folder), tmp_path / "cache", Options(max_tokens=64)) == (
        "the tokenizer has no tokens for 'Завтра мы поедем к морю.' and 8 other texts, and the "
        "model gives a text without tokens no vector. Is it this model's own tokenizer?"
    )


def save_lengths(folder: Path, change: Callable[[Any], Any]) -> Path:
    """Save a model of strings whose vector is what `change` makes of [length, 1]."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def vectors(texts: Any) -> dict[str, Any]:  # noqa: ANN401 - TensorFlow ships no types
        lengths = tf.cast(tf.strings.length(texts), tf.float32)
        return {"vector": change(tf.stack([lengths, tf.ones_like(lengths)], 1))}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": vectors})
    return folder


def refusal(project: Project, cache: Path, *arguments: str | Path) -> str:
    """What the CLI says last."""
    done = stage_model(project, *arguments, TF_EMBEDDINGS_CACHE=str(cache))
    assert (done.returncode, done.stdout) == (1, "")
    assert not list((cache / "work").iterdir())
    return done.stderr.partition("stage_model: ")[2]


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    source, cache = Local(save_lengths(tmp_path / "model", on_a_circle)), tmp_path / "cache"
    assert refusal_of(source, cache, Options(truncate_dim=2)) == (
        "--truncate-dim 2 keeps the first numbers of a vector, and this model gives 2. Give a "
        "smaller number, or leave it out."
    )
    assert refusal_of(source, cache, Options(max_tokens=128)) == (
        "--max-tokens is for models that take token ids, and this one is of kind text: what "
        "happens to its tokens is in its graph. Leave --max-tokens out."
    )
    with pytest.raises(StagingError) as error:
        build(source, "small", cache, Report(), Options(preprocessor=str(tmp_path)))
    assert str(error.value) == (
        f"--preprocessor '{tmp_path}' is a folder with neither saved_model.pb nor config.json. "
        "It must be a SavedModel that turns texts into the model's inputs: a Kaggle model "
        "(kaggle:<owner>/<model>/<framework>/<variation>/<version>), a TF-Hub handle "
        "(https://tfhub.dev/<publisher>/<model>/<version>), the address of a .tar.gz, .tgz, .tar "
        "or .zip, such an archive on this machine, or the folder of a SavedModel."
    )


WIDE = """
{{ config(materialized='table') }}
select {{ tf_embeddings.embed("'a text'") }} as vector
"""


def test_the_longest_vector_is_the_warehouses_and_is_told_at_staging(
    tmp_path: Path, local_snowflake: LocalSnowflake
) -> None:
    """A model of 5,000 dimensions was staged on DuckDB, and every build then refused its pin."""
    import tensorflow as tf

    folder = save_lengths(tmp_path / "model", lambda vectors: tf.tile(vectors, [1, 2500]))
    cache = tmp_path / "cache"
    files = {"models/wide.sql": WIDE}
    duckdb = make_project(tmp_path / "duckdb", files=files)
    done = stage_model(duckdb, folder, "--name", "wide", "--write", TF_EMBEDDINGS_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    run = duckdb.dbt("build")
    assert run.success, run.errors
    assert duckdb.rows("select len(vector) from wide") == [(5000,)]

    snowflake = make_snowflake_project(tmp_path / "snowflake", local_snowflake, files=files)
    (artifact,) = (cache / "artifacts").rglob("*.zip")
    for source in ([folder, "--name", "wide"], [artifact]):
        assert refusal(snowflake, cache, *source) == (
            "the vectors of wide have 5,000 numbers, and a vector in the target's warehouse has at "
            "most 4,096. Keep the first ones with --truncate-dim 4096, if the model is made for "
            "that (Matryoshka), or choose a model of fewer dimensions.\n"
        )
    snowflake.pin(**duckdb.vars()["tf_embeddings_models"])
    run = snowflake.dbt("compile")
    assert not run.success
    assert (
        "the pin of model 'wide' in var tf_embeddings_models has dimensions 5000; a vector has at "
        "most 4096 on snowflake. Stage the model again with --truncate-dim 4096, or choose a model "
        "of fewer dimensions."
    ) in run.output


def test_a_vector_that_is_too_long_is_refused_before_it_is_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Local(save_lengths(tmp_path / "model", on_a_circle))
    with pytest.raises(StagingError, match="have 2 numbers, and a vector in the target's"):
        build(source, "small", tmp_path / "cache", Report(), limits=Limits(dimensions=1))
    assert "Engine of small" not in capsys.readouterr().err


@pytest.mark.exhaustive
def test_what_tensorflow_said_is_shown_with_debug_alone(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    def fail(vectors: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
        with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), ["out of order"])]):
            return tf.identity(vectors)

    folder = save_lengths(tmp_path / "model", fail)
    said = refusal(project, cache, folder, "--name", "broken")
    assert said.count("\n") == 1
    assert "out of order" in said
    assert said.endswith("--debug shows all that it said.\n")
    debugged = refusal(project, cache, folder, "--name", "broken", "--debug")
    assert debugged.startswith(said)
    assert "Traceback (most recent call last):\n" in debugged


def test_the_limits_of_the_command_line_are_kept(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    folder = save_lengths(tmp_path / "model", lambda vectors: vectors)
    said = refusal(project, cache, folder, "--name", "slow", "--time-limit", "0.0001")
    assert said.startswith("the inspection of the SavedModel did not end within 0.0001 minutes")
    said = refusal(project, cache, folder, "--name", "large", "--memory-limit", "0.001")
    assert "more than the limit of 0.00 GiB, so it was stopped. Raise the limit with" in said


def test_inspect_and_list_need_no_dbt_project(tmp_path: Path) -> None:
    made = encoder_makers.save_two_vectors_text(tmp_path / "model", "left")
    shown = call(tmp_path, "model", "--inspect", *made.options)
    assert shown.returncode == 0, shown.stderr
    assert "kind        text\n" in shown.stdout
    assert "dimensions  8\n" in shown.stdout
    assert "StringSplitV2" in shown.stdout

    unclear = call(tmp_path, "model", "--inspect")
    assert unclear.returncode == 1
    assert "out  right      float32 [?, 8]\n" in unclear.stdout
    assert unclear.stderr.endswith("Say which one with --output (left, right).\n")

    own = tmp_path / "own.yml"
    own.write_text(
        "tickets: {about: our own, kind: text, dimensions: 8, sources: [{tf_hub: {handle: "
        "'https://tfhub.dev/us/tickets/1'}}]}\n"
    )
    listed = call(tmp_path, "--list", "--catalogue", own)
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:3]] == ["minilm", "wordllama"]
    assert listed.stdout.splitlines()[-1].startswith("tickets ")


def test_an_encoders_folder_is_inspected_too(tmp_path: Path) -> None:
    folder = bert_folder.make_folder(tmp_path / "encoder", pooling="mean")
    shown = call(tmp_path, folder.path, "--inspect", "--max-tokens", "7")
    assert shown.returncode == 0, shown.stderr
    assert "kind        tokens\n" in shown.stdout
    assert "dimensions  24\n" in shown.stdout
    assert "max tokens  7\n" in shown.stdout


@pytest.mark.parametrize(
    "flags",
    [
        ["--prefix", "query: "],
        ["--sha256", "0" * 64],
        ["--inspect"],
        ["--engine", "tensorflow"],
    ],
)
def test_an_artifact_takes_no_options(
    strings: makers.Artifact, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = makers.with_golden(makers.copied(strings, tmp_path))
    assert cli.main([str(ours.path), *flags]) == 2
    assert capsys.readouterr().err == (
        f"stage_model: '{ours.path.name}' is an artifact, which is staged unchanged; "
        f"{flags[0]} works only with a model. Leave {flags[0]} out.\n"
    )
