from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from makers import Artifact
from tf_embeddings_udf import TfEmbeddingsError, read_manifest
from tf_embeddings_udf.manifest import is_safe_path, parse_manifest

STAGE_AGAIN = "python dbt_packages/tf_embeddings/scripts/stage_model.py tiny --write"


@pytest.fixture
def fields(tiny: Artifact) -> dict[str, Any]:
    with zipfile.ZipFile(tiny.path) as archive:
        return json.loads(archive.read("manifest.json"))


def test_a_manifest_is_the_same_from_the_file_and_from_its_bytes(tiny: Artifact) -> None:
    manifest = read_manifest(tiny.path)
    assert manifest == read_manifest(tiny.path.read_bytes())
    assert (manifest.model, manifest.version, manifest.dimensions) == ("tiny", tiny.version, 8)
    assert manifest.packages == ("ai-edge-litert", "numpy", "tokenizers")
    assert manifest.engine == "litert"
    assert "model/model.tflite" in manifest.files


@pytest.mark.parametrize(("number", "known"), [("format", 3), ("contract", 1)])
@pytest.mark.parametrize("came", [2, 4, 0, "1", True, None])
def test_an_unknown_number_is_refused(
    fields: dict[str, Any], number: str, known: int, came: object
) -> None:
    fields[number] = came
    with pytest.raises(TfEmbeddingsError) as error:
        parse_manifest(json.dumps(fields).encode(), "tiny-b000000000000.zip")
    assert str(error.value) == (
        f"tf_embeddings: the artifact tiny-b000000000000.zip has {number} {json.dumps(came)}, and "
        f"the installed tf_embeddings only knows {number} {known}. Install the tf_embeddings that "
        f"made it, or stage the model again with: {STAGE_AGAIN}"
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model", "Tiny", 'model: "Tiny", not a name of a-z, 0-9 and _ that starts with a letter'),
        ("version", "123456789012", "version: \"123456789012\", not 'v' and 12 hex digits"),
        ("dimensions", 0, "dimensions: 0, not a whole number from 1 to 100000"),
        ("dimensions", True, "dimensions: true, not a whole number from 1 to 100000"),
        ("dimensions", 8.0, "dimensions: 8.0, not a whole number from 1 to 100000"),
        ("model_dimensions", "8", 'model_dimensions: "8", not a whole number from 1 to 100000'),
        ("model_dimensions", 7, "model_dimensions: 7, fewer than its dimensions: 8"),
        ("prefix", None, "prefix: null, not a text, empty for none"),
        ("engine", None, "engine: null, not the name of an engine"),
        ("meaning", "v1", 'meaning: "v1", not what the version is a digest of'),
        ("normalize", 1, "normalize: 1, not true or false"),
        ("row_by_row", 1, "row_by_row: 1, not true or false"),
        ("max_tokens", 0, "max_tokens: 0, not null or a whole number of at least 1"),
        ("packages", ["numpy", ""], 'packages: ["numpy", ""], not a list of Python packages'),
        (
            "files",
            {"golden.json": {"sha256": "0" * 64, "bytes": 1}},
            'files: {"golden.json": {"sha256": "00000000000000000000000000000..., not a digest '
            "and a size for each file",
        ),
        ("files", {"../up": {}}, 'files: {"../up": {}}, not a digest and a size for each file'),
    ],
)
def test_a_field_that_says_what_it_may_not_is_named(
    fields: dict[str, Any], field: str, value: object, says: str
) -> None:
    fields[field] = value
    with pytest.raises(TfEmbeddingsError) as error:
        parse_manifest(json.dumps(fields).encode(), "tiny-b000000000000.zip")
    assert str(error.value) == (
        f"tf_embeddings: the artifact tiny-b000000000000.zip cannot be used: its manifest.json "
        f"says {says}. Delete it and stage the model again with: {STAGE_AGAIN}"
    )


def test_every_field_is_required(fields: dict[str, Any]) -> None:
    for field in fields.keys() - {"format", "contract"}:
        less = {name: value for name, value in fields.items() if name != field}
        with pytest.raises(TfEmbeddingsError, match=rf"its manifest\.json lacks '{field}', "):
            parse_manifest(json.dumps(less).encode(), "tiny-b000000000000.zip")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"{", "its manifest.json is not JSON ("),
        (b"\xff\xfe\xff", "its manifest.json is not JSON ("),
        (b"[1]", "its manifest.json is a list, not an object."),
    ],
)
def test_a_manifest_that_is_no_object_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(TfEmbeddingsError, match=re.escape(says)):
        parse_manifest(raw, "tiny-b000000000000.zip")


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "../up", "model/../../up", "model//x", "./x", "model/", ""),
        *("model\\x", "C:x", "model/a\nb", "model/\x00"),
    ],
)
def test_a_path_that_leaves_the_folder_is_not_safe(path: str) -> None:
    assert not is_safe_path(path)


@pytest.mark.parametrize("path", ["golden.json", "model/variables/variables.index", "model/…"])
def test_a_path_that_stays_is_safe(path: str) -> None:
    assert is_safe_path(path)


def test_a_manifest_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (2**24 + 1))
    with pytest.raises(TfEmbeddingsError, match=r"its manifest\.json would unpack to 16,777,217 b"):
        read_manifest(path)


def test_an_artifact_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        read_manifest(tmp_path / "tiny-b000000000000.zip")
    assert str(error.value) == (
        f"tf_embeddings: the artifact '{tmp_path}/tiny-b000000000000.zip' does not exist. "
        f"Make it with: {STAGE_AGAIN}"
    )


def test_a_folder_that_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(TfEmbeddingsError) as error:
        read_manifest(tmp_path)
    assert str(error.value) == (
        f"tf_embeddings: the folder '{tmp_path}' holds no manifest.json, so it is not an unpacked "
        f"artifact. Make one with: {STAGE_AGAIN.replace('tiny', '<model>')}"
    )


def test_importing_the_runtime_imports_nothing_heavy_and_changes_nothing() -> None:
    import subprocess

    code = (
        "import os, sys; before = dict(os.environ); import tf_embeddings_udf; "
        "heavy = {'tensorflow', 'tokenizers', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules); "
        "assert not heavy, heavy; assert before == dict(os.environ)"
    )
    udf_src = Path(__file__).parents[1] / "udf_src"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=udf_src)
