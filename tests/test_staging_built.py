"""An artifact that somebody made is looked at before it is staged as it is."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flatbuffers
import makers
import pytest
from ai_edge_litert import schema_py_generated as schema
from duckdb_projects import make_project
from graph_makers import Tensor, lengths, save_text
from rich.console import Console
from test_staging_cli import stage_model
from tf_embeddings_staging.building.artifact import is_whole
from tf_embeddings_staging.building.build import build, likely_packages
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.options import Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built, resolve
from tf_embeddings_udf import TfEmbeddingsError, unpack
from tf_embeddings_udf.verify import parse_golden

write_artifact = functools.partial(makers.write_artifact, with_runtime=True)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path / "model"
    return folder, makers.save_text_model(folder)


def stage(
    artifact: makers.Artifact,
    cache: Path,
    *allow_ops: str,
    folder: Path | None = None,
    pinned: str | None = None,
) -> str:
    """Check an artifact, for this stage folder and pin; return what the user reads."""
    console = Console(record=True, width=400)
    source = Built(artifact.path, artifact.model)
    options = Options(allow_ops=allow_ops)
    report = Report(console)
    came = build(source, artifact.model, cache, report, options, stage=folder, pinned=pinned)
    assert came.path == artifact.path
    return console.export_text()


def refusal(artifact: makers.Artifact, cache: Path) -> str:
    with pytest.raises(StagingError) as error:
        stage(artifact, cache)
    return str(error.value)


def read_a_file(texts: Tensor) -> Tensor:
    import tensorflow as tf

    return lengths(tf.fill(tf.shape(texts), tf.io.read_file("/etc/hostname")))


def test_an_artifact_of_this_release_is_staged_without_a_warning(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    ours = write_artifact(*saved, tmp_path / "stage")
    said = stage(makers.with_golden(ours), tmp_path / "cache")
    assert "Warning" not in said
    assert "Note" not in said, "its weights are in it, to the byte"
    exact = write_artifact(
        *saved, tmp_path / "exact", packages=["numpy==2.1.0", "tensorflow==2.18.1"]
    )
    stage(makers.with_golden(exact), tmp_path / "cache")


def test_an_artifact_of_another_release_is_staged_with_a_warning(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**makers._runtime_files(), "tf_embeddings_udf/more.py": b"import os"}
    monkeypatch.setattr(makers, "_runtime_files", lambda: files)
    theirs = write_artifact(*saved, tmp_path / "stage")
    makers.with_golden(theirs)
    assert (
        f"Warning: {theirs.path.name} brings Python code that is not this release's; it runs where "
        "the model runs. Stage it only if you trust whoever made it.\n"
    ) in stage(theirs, tmp_path / "cache")


def test_a_graph_that_reaches_out_is_refused_and_may_be_let_in(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, parameters = saved
    evil = save_text(tmp_path / "evil", read_a_file)
    given = {**parameters["encoder"], "output": "vector"}
    of_evil = {**parameters, "dimensions": 2, "encoder": given}
    artifact = write_artifact(evil, of_evil, tmp_path / "stage")
    assert "reach the network: ReadFile" in refusal(artifact, tmp_path / "cache")
    stage(makers.with_golden(artifact), tmp_path / "cache", "ReadFile")

    before = write_artifact(folder, parameters, tmp_path / "before", preprocessor=evil)
    assert "reach the network: ReadFile" in refusal(before, tmp_path / "cache")


def test_packages_beyond_those_of_its_kind_are_refused_before_dbt_hears_of_them(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    artifact = write_artifact(*saved, tmp_path / "stage", packages=["evil", "numpy", "tensorflow"])
    said = (
        f"SOURCE '{artifact.path.name}' cannot be staged: it asks for the packages evil, numpy, "
        "tensorflow, where its kind needs numpy, tensorflow. Stage the model again from where it "
        "comes from."
    )
    assert refusal(artifact, tmp_path / "cache") == said
    with pytest.raises(StagingError) as error:
        likely_packages(Built(artifact.path, artifact.model), Options())
    assert str(error.value) == said


@pytest.mark.parametrize("name", ["numpy/__init__.py", "sitecustomize.py", "model"])
def test_python_beside_the_runtime_is_refused(
    saved: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(makers, "_runtime_files", lambda: {name: b"import os"})
    artifact = write_artifact(*saved, tmp_path / "stage")
    assert refusal(artifact, tmp_path / "cache") == (
        f"SOURCE '{artifact.path.name}' cannot be staged: it holds '{name}', which does not "
        "belong in an artifact. Stage the model again from where it comes from."
    )


@pytest.mark.parametrize(
    "overrides",
    [{"kind": "shell"}, {"encoder": {"libraries": ["os"]}}, {"encoder": {"libraries": "os"}}],
)
def test_an_unknown_kind_or_library_is_refused(
    saved: tuple[Path, dict[str, Any]], tmp_path: Path, overrides: dict[str, Any]
) -> None:
    artifact = write_artifact(*saved, tmp_path / "stage", **overrides)
    assert "unknown" in refusal(artifact, tmp_path / "cache")


# For LiteRT


Saved = tuple[Path, dict[str, Any]]


def test_an_artifact_for_litert_is_staged_where_there_is_no_tensorflow(
    litert_tokens_model: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promotion on a machine with requirements.txt only."""
    project = make_project(tmp_path / "project")
    ours = write_artifact(*litert_tokens_model, tmp_path / "stage")
    makers.with_golden(ours)
    missing = tmp_path / "missing"
    missing.mkdir()
    for name in ("h5py", "keras", "safetensors", "tensorflow", "tensorflow_hub"):
        (missing / f"{name}.py").write_text(f"raise AssertionError('{name} is imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(missing))

    done = stage_model(project, ours.path, "--write", TF_EMBEDDINGS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    place = project.stage / "tiny" / ours.version / ours.path.name
    assert f"tiny is staged: {place}\n" in done.stderr
    assert place.read_bytes() == ours.path.read_bytes()


def changed(saved: Saved, folder: Path, change: Callable[[bytes], bytes]) -> makers.Artifact:
    """Pack a model of LiteRT whose file was changed; its digests are right."""
    model, parameters = saved
    shutil.copytree(model, folder / "model")
    path = folder / "model" / "model.tflite"
    path.write_bytes(change(path.read_bytes()))
    return write_artifact(folder / "model", parameters, folder / "stage")


def edited(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    """Return what changes a model by its schema, and writes it again."""

    def write(content: bytes) -> bytes:
        model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
        change(model)
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return write


def unchanged(_: Any) -> None:  # noqa: ANN401 - generated, without types
    pass


def with_custom_op(model: Any) -> None:  # noqa: ANN401
    code: Any = schema.OperatorCodeT()
    code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, b"FlexReadFile"
    model.operatorCodes.append(code)


def with_nameless_custom_op(model: Any) -> None:  # noqa: ANN401
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM


def with_buffer_elsewhere(model: Any) -> None:  # noqa: ANN401
    group: Any = schema.ExternalBufferGroupT()
    buffer: Any = schema.ExternalBufferT()
    group.name = b"/etc/shadow"
    buffer.id = buffer.length = 1
    model.externalBufferGroups, model.externalBuffers = [group], [buffer]


def with_buffer_beyond_the_end(model: Any) -> None:  # noqa: ANN401
    largest = max(model.buffers, key=lambda one: 0 if one.data is None else len(one.data))
    largest.data, largest.offset, largest.size = None, 2**30, 2**20


def without_signature(model: Any) -> None:  # noqa: ANN401
    model.signatureDefs = None


def with_other_inputs(model: Any) -> None:  # noqa: ANN401
    for signature in model.signatureDefs:
        for one in signature.inputs:
            one.name = one.name.replace(b"input_ids", b"other_ids")


def test_a_model_that_is_written_again_as_it_is_is_staged(
    litert_tokens_model: Saved, tmp_path: Path
) -> None:
    """So the refusals below are of what was changed."""
    artifact = changed(litert_tokens_model, tmp_path, edited(unchanged))
    stage(makers.with_golden(artifact), tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            with_custom_op,
            r"the artifact's model has the custom op 'FlexReadFile', which is not LiteRT's own\.",
        ),
        (
            with_nameless_custom_op,
            r"the artifact's model has the custom op '', which is not LiteRT's own\.",
        ),
        (with_buffer_elsewhere, r"the artifact's model has weights in other files\."),
        (
            with_buffer_beyond_the_end,
            r"model 'tiny' cannot be loaded by LiteRT \S+ \(.*\)\. Stage the model again\.",
        ),
        (
            without_signature,
            r"model 'tiny' cannot be loaded by LiteRT \S+ \(ValueError: it has no signature "
            r"'serving_default'\)\. Stage the model again\.",
        ),
        (
            with_other_inputs,
            r"model 'tiny' has no input 'input_ids' \(it has: attention_mask, other_ids\)\. Stage "
            r"the model again\.",
        ),
    ],
)
def test_a_model_of_litert_that_reaches_out_or_is_none_of_ours_is_refused(
    litert_tokens_model: Saved, tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    artifact = changed(litert_tokens_model, tmp_path, edited(change))
    assert re.fullmatch(said, refusal(artifact, tmp_path / "cache"))


AGAIN = r"Download the artifact again, or stage the model again\."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: b"", r"the artifact's model is not a LiteRT file\. " + AGAIN),
        (lambda _: b"PK\3\4 and more", r"the artifact's model is not a LiteRT file\. " + AGAIN),
        (lambda content: content[:2000], r"the artifact's model is damaged \(.*\)\. " + AGAIN),
        (
            lambda content: b"\xff" * 4 + content[4:],
            r"the artifact's model is damaged \(.*\)\. " + AGAIN,
        ),
    ],
    ids=["empty", "a zip", "cut short", "another root"],
)
def test_a_damaged_model_of_litert_is_refused(
    litert_tokens_model: Saved, tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    artifact = changed(litert_tokens_model, tmp_path, change)
    assert re.fullmatch(said, refusal(artifact, tmp_path / "cache"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"engine": "onnx"}, "its engine 'onnx' is unknown"),
        (
            {"kind": "text", "packages": ["ai-edge-litert", "numpy"]},
            "it is for litert, which does not run models of kind text",
        ),
        (
            {"packages": ["numpy", "tensorflow", "tokenizers"]},
            "it asks for the packages numpy, tensorflow, tokenizers, where its kind needs "
            "ai-edge-litert, numpy, tokenizers",
        ),
        (
            {"prefix": "query: "},
            "its prefix is 'query: ', and its version is of ''",
        ),
        ({"normalize": False}, "its normalize is False, and its version is of True"),
        ({"max_tokens": 512}, "its max_tokens is 512, and its version is of 16"),
        ({"version": "v000000000000"}, "its version v000000000000 is not that of its meaning"),
        (
            {"version": "v000000000000", "meaning": {"weights": "\ud800"}},
            "its version v000000000000 is not that of its meaning",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_its_engine_or_its_meaning_is_refused(
    litert_tokens_model: Saved, tmp_path: Path, overrides: dict[str, Any], said: str
) -> None:
    artifact = write_artifact(
        litert_tokens_model[0], {**litert_tokens_model[1], **overrides}, tmp_path / "stage"
    )
    assert refusal(artifact, tmp_path / "cache") == (
        f"SOURCE '{artifact.path.name}' cannot be staged: {said}. Stage the model again from where "
        "it comes from."
    )


def test_an_artifact_for_litert_without_its_model_is_refused(
    saved_tokens_model: Saved, litert_tokens_model: Saved, tmp_path: Path
) -> None:
    artifact = write_artifact(saved_tokens_model[0], litert_tokens_model[1], tmp_path / "stage")
    said = "it is for LiteRT and holds no 'model/model.tflite'"
    assert said in refusal(artifact, tmp_path / "cache")


BLANKS = {"texts": [None, " "], "vectors": [None, None], "token_counts": [None, 0]}
GOLDEN = {"texts": ["fox"], "vectors": [[0.5] * 8], "token_counts": [3]}


@pytest.mark.parametrize(
    "golden",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"texts": ["fox"]}',
        b'{"texts": ["fox"], "vectors": [null], "token_counts": []}',
        b'{"texts": [7], "vectors": [null], "token_counts": [3]}',
        b'{"texts": [], "vectors": [], "token_counts": []}',
        b'{"texts": ["a"], "vectors": [""], "token_counts": [1], "memory_bytes": "much"}',
        b'{"texts": ["a"], "vectors": [""], "token_counts": [1], "measured_with": ["numpy"]}',
        b'{"texts": [null, " "], "vectors": [null, null], "token_counts": [null, 0]}',
    ],
    ids=repr,
)
def test_what_was_measured_is_looked_at_though_the_build_does_not_vouch_for_it(
    litert_tokens_model: Saved, tmp_path: Path, golden: bytes
) -> None:
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage", golden=GOLDEN)
    assert is_whole(artifact.path, artifact.build)
    repack(artifact.path, {"golden.json": golden})
    assert not is_whole(artifact.path, artifact.build)
    with pytest.raises(StagingError, match="is damaged: not all of it is as it was made, and"):
        resolve(str(artifact.path), {})


# What an artifact says of itself.


def test_another_model_under_the_version_of_one_that_is_known_is_refused(
    litert_tokens_model: Saved, tmp_path: Path
) -> None:
    """Converted weights are not in the version, so vectors are compared with others of its."""
    ours = makers.with_golden(write_artifact(*litert_tokens_model, tmp_path / "ours"))
    saved = tmp_path / "saved", makers.save_tokens_model(tmp_path / "saved", seed=8)
    model, parameters = makers.convert(*saved, tmp_path / "converted")
    shutil.copyfile(litert_tokens_model[0] / "tokenizer.json", model / "tokenizer.json")
    as_ours = {**parameters, "meaning": litert_tokens_model[1]["meaning"]}
    theirs = write_artifact(model, as_ours, tmp_path / "theirs", golden=golden_in(ours))
    assert (theirs.version, theirs.build != ours.build) == (ours.version, True)
    assert refusal(theirs, tmp_path / "cache").startswith(
        f"SOURCE '{theirs.path.name}' cannot be staged: it is not the model that its golden "
        f"vectors are of: the vector of '{makers.CORPUS[0]}' differs by "
    )

    strip(theirs.path, "golden.json")  # and golden vectors are made again, by what gives them
    makers.with_golden(theirs)
    said = stage(theirs, tmp_path / "cache")
    assert f"Note: nothing here proves that the weights of {theirs.path.name} are those of" in said
    assert "Note" not in stage(theirs, tmp_path / "cache", pinned=theirs.build)
    kept = tmp_path / "cache/artifacts/digest"
    for place in (ours.stage, None):
        if place is None:  # it was made on this machine
            kept.mkdir(parents=True)
            shutil.copyfile(ours.path, kept / ours.path.name)
        with pytest.raises(StagingError) as error:
            stage(theirs, tmp_path / "cache", folder=place, pinned=theirs.build)
        assert re.fullmatch(
            rf"SOURCE '{theirs.path.name}' cannot be staged: '.*/{ours.path.name}' has the same "
            rf"version {ours.version}, and this one gives other vectors: the vector of "
            rf"'{makers.CORPUS[0]}' differs by 0\.\d+ of its length\. Stage the model again from "
            rf"where it comes from\.",
            str(error.value),
        )
    assert "Note" not in stage(ours, tmp_path / "cache")


def golden_in(artifact: makers.Artifact) -> dict[str, Any]:
    with zipfile.ZipFile(artifact.path) as archive:
        golden = parse_golden(archive.read("golden.json"))
    return {**golden, "vectors": [vector.tolist() for vector in golden["vectors"]]}


@pytest.mark.parametrize("name", ["saved_model.pb", "tokenizer.json"])
def test_a_file_that_is_not_the_one_of_its_version_is_refused(
    saved_tokens_model: Saved, litert_tokens_model: Saved, tmp_path: Path, name: str
) -> None:
    for number, (model, parameters) in enumerate((saved_tokens_model, litert_tokens_model)):
        if not (model / name).is_file():
            continue
        folder = tmp_path / str(number)
        shutil.copytree(model, folder / "model")
        (folder / "model" / name).write_bytes((model / name).read_bytes() + b"\n")
        meaning = makers.meaning_of(*saved_tokens_model)
        artifact = write_artifact(folder / "model", parameters, folder / "stage", meaning=meaning)
        assert f"its '{name}' is not the one that its version is of. Stage" in refusal(
            artifact, tmp_path / "cache"
        )


def test_a_preprocessor_of_somebody_elses_beside_a_copy_of_the_genuine_one_is_refused(
    saved_tokens_model: Saved, tmp_path: Path
) -> None:
    """The version has one name for `preprocessor/X` and for the model's own `preprocessor/X`."""
    model, parameters = saved_tokens_model
    before = {"genuine": b"genuine", "foreign": b"foreign"}
    for name, content in before.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(content)
    shutil.copytree(model, tmp_path / "model")
    shutil.copytree(tmp_path / "genuine", tmp_path / "model/preprocessor")
    pack = functools.partial(
        write_artifact,
        tmp_path / "model",
        parameters,
        preprocessor=tmp_path / "foreign",
        meaning=makers.meaning_of(model, parameters, tmp_path / "genuine"),
    )
    with zipfile.ZipFile(pack(tmp_path / "first").path) as archive:
        files = json.loads(archive.read("manifest.json"))["files"]
    artifact = pack(tmp_path / "stage", files=dict(reversed(files.items())))
    assert "its 'preprocessor/saved_model.pb' is not the one that its version is of" in refusal(
        artifact, tmp_path / "cache"
    )


def test_golden_vectors_that_any_model_has_prove_nothing(
    litert_tokens_model: Saved, tmp_path: Path
) -> None:
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage", golden=BLANKS)
    assert "of: no text in its golden.json has a vector. Stage the model again" in refusal(
        artifact, tmp_path / "cache"
    )


@pytest.mark.parametrize("command", [["--dry-run"], []])
def test_an_artifact_without_golden_vectors_is_refused(
    litert_tokens_model: Saved, tmp_path: Path, command: list[str]
) -> None:
    project = make_project(tmp_path / "project")
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage")
    done = stage_model(project, artifact.path, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"stage_model: SOURCE '{artifact.path}' cannot be staged: it holds no golden.json. "
        "Copy it again from where it was made, or give the SOURCE that the model was made of, "
        "with --name tiny.\n"
    )


def test_an_artifact_that_unpacks_to_more_than_it_has_is_refused(
    litert_tokens_model: Saved, tmp_path: Path
) -> None:
    model, parameters = litert_tokens_model
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model/zeros.bin").write_bytes(bytes(10**7))
    artifact = makers.write_artifact(
        tmp_path / "model", parameters, tmp_path / "stage", golden=GOLDEN
    )
    content = artifact.path.read_bytes()
    with zipfile.ZipFile(artifact.path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(artifact.path, "w") as archive:
        for name, each in entries.items():
            is_zeros = name.endswith("zeros.bin")
            archive.writestr(name, each, zipfile.ZIP_DEFLATED if is_zeros else None)
    assert len(content) > 100 * artifact.path.stat().st_size
    with pytest.raises(StagingError, match=r"cannot be staged: it is compressed\. Copy it again"):
        resolve(str(artifact.path), {})


def test_a_zip_that_python_does_not_import_from_is_refused(
    litert_tokens_model: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zipimport reads no ZIP64 before Python 3.13."""
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage", golden=GOLDEN)
    with monkeypatch.context() as as_if_larger:
        as_if_larger.setattr(zipfile, "ZIP64_LIMIT", 1000)
        repack(artifact.path, {})
    with zipfile.ZipFile(artifact.path) as archive:
        assert archive.testzip() is None
    assert not is_whole(artifact.path, artifact.build)
    with pytest.raises(StagingError) as error:
        resolve(str(artifact.path), {})
    assert str(error.value) == (
        f"SOURCE '{artifact.path}' cannot be staged: it has ZIP64 records, as a zip of more than "
        "4 GiB or 65,535 files has, and Python before 3.13 does not import from it. Copy it again "
        "from where it was made, or give the SOURCE that the model was made of, with --name tiny."
    )


def strip(path: Path, name: str) -> None:
    """Leave a file out of an artifact's zip."""
    with zipfile.ZipFile(path) as archive:
        entries = {one: archive.read(one) for one in archive.namelist() if one != name}
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in entries.items():
            archive.writestr(one, content)


def repack(path: Path, changes: Mapping[str, bytes], **options: Any) -> None:  # noqa: ANN401
    """Write an artifact's zip again with other entries; its name stays."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in {**entries, **changes}.items():
            archive.writestr(name, content)


def test_a_zip_that_holds_more_or_is_compressed_is_not_whole(
    litert_tokens_model: Saved, tmp_path: Path
) -> None:
    """Snowflake imports from the whole zip, and a stage knows a file by its size."""
    artifact = write_artifact(*litert_tokens_model, tmp_path / "stage", golden=GOLDEN)
    whole = artifact.path.read_bytes()
    repack(artifact.path, {"numpy.py": b"import os"})
    assert not is_whole(artifact.path, artifact.build)
    artifact.path.write_bytes(whole)
    repack(artifact.path, {}, compression=zipfile.ZIP_DEFLATED)
    assert not is_whole(artifact.path, artifact.build)
    artifact.path.write_bytes(whole)
    assert is_whole(artifact.path, artifact.build)


def test_an_artifact_without_the_runtime_is_refused(
    litert_tokens_model: Saved, tmp_path: Path
) -> None:
    """On Snowflake, which imports the runtime from the artifact, each call would fail."""
    artifact = makers.write_artifact(*litert_tokens_model, tmp_path / "stage")
    assert refusal(makers.with_golden(artifact), tmp_path / "cache") == (
        f"SOURCE '{artifact.path.name}' cannot be staged: it holds no runtime, which "
        "Snowflake runs it with. Stage the model again from where it comes from."
    )


def test_any_damage_to_an_artifact_is_found_or_does_not_matter(tmp_path: Path) -> None:
    """A flipped bit may say that a file is encrypted, or compressed in an unknown way."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/tokenizer.json").write_bytes(b"{}" * 20)
    parameters = {
        "kind": "tokens",
        "engine": "litert",
        "dimensions": 8,
        "max_tokens": 16,
        "encoder": {},
        "packages": ["ai-edge-litert", "numpy", "tokenizers"],
    }
    artifact = makers.write_artifact(
        tmp_path / "model", parameters, tmp_path / "stage", golden=GOLDEN
    )
    content = artifact.path.read_bytes()
    with zipfile.ZipFile(artifact.path) as archive:
        directory = archive.start_dir
    copy, cache = tmp_path / artifact.path.name, tmp_path / "cache"
    for place in range(len(content)):
        for bit in range(8) if place >= directory else [place % 8]:
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            copy.write_bytes(damaged)
            is_unpacked = False
            with contextlib.suppress(TfEmbeddingsError):
                unpack(copy, cache, model="tiny", build=artifact.build)
                is_unpacked = True
                shutil.rmtree(cache)
            assert is_unpacked or not is_whole(copy, artifact.build), (place, bit)
