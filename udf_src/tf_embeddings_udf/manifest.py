"""manifest.json: what an artifact holds and how its model is run."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_embeddings_udf.errors import TfEmbeddingsError, stage_command

FORMAT = 3
"""Layout of the artifact: a runtime reads exactly one format."""

CONTRACT = 1
"""What the numbers mean: under a different contract, the same model has a different version."""

MANIFEST = "manifest.json"

GOLDEN = "golden.json"
"""What was measured where the artifact was made: golden vectors and memory; and the model's source.
It does not decide what runs, so the manifest does not list it."""

UNREADABLE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError)
"""What Python raises for a damaged zip; RuntimeError where a bit says that it is encrypted."""

MODEL_FOLDER = "model"
PREPROCESSOR_FOLDER = "preprocessor"

# Largest dimension of Snowflake's VECTOR is 4096; DuckDB's arrays end at 100,000.
_MOST_DIMENSIONS = 100_000
_MOST_BYTES = 16 * 2**20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VERSION = re.compile(r"v[0-9a-f]{12}")
_FILE_NAME = re.compile(r"\b([a-z][a-z0-9_]{0,39})-b[0-9a-f]{12}\.zip")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """Digest and size in bytes of one file of the artifact."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The validated content of manifest.json, format 3: all that decides what runs.

    `meaning` is what the version is a digest of. `engine` names what runs the model, and `encoder`
    holds the parameters of its kind. `files` maps the path of every other file of the artifact but
    golden.json, relative and with `/`, to its digest and size. `max_tokens` is None where no limit
    is known. `prefix` is put before each text. Of the `model_dimensions` numbers that the model
    gives, the first `dimensions` are kept. A model runs `row_by_row` if the other texts of a batch
    change a text's vector.
    """

    model: str
    version: str
    meaning: Mapping[str, Any]
    dimensions: int
    model_dimensions: int
    kind: str
    engine: str
    encoder: Mapping[str, Any]
    normalize: bool
    max_tokens: int | None
    prefix: str
    packages: tuple[str, ...]
    files: Mapping[str, FileEntry]
    row_by_row: bool = False


def build_of(source: Path | bytes) -> str:
    """Return the build of an artifact's file: 'b' and 12 hex digits of its manifest's SHA-256.

    The manifest holds the digest of every file that decides what runs, and nothing that was
    measured, so one source gives one build on every machine.

    Raises:
        TfEmbeddingsError: as `read_manifest` does.
    """
    label = "the artifact" if isinstance(source, bytes) else source.name
    raw = _entry_of_zip(io.BytesIO(source) if isinstance(source, bytes) else source, label)
    return "b" + hashlib.sha256(raw).hexdigest()[:12]


def read_manifest(source: Path | bytes, label: str | None = None) -> Manifest:
    """Read and validate the manifest of an artifact.

    Args:
        source: an unpacked artifact's folder, an artifact's file, or an artifact's bytes. Of a
            file only the directory and this one entry are read.
        label: what messages call it; the file's or folder's name if not given.

    Raises:
        TfEmbeddingsError: it is missing, not a zip, cut short, of a different format or contract,
            or holds something that is not allowed.
    """
    if isinstance(source, bytes):
        label = label or "the artifact"
        return parse_manifest(_entry_of_zip(io.BytesIO(source), label), label)
    label = label or source.name
    if not source.is_dir():
        return parse_manifest(_entry_of_zip(source, label), label)
    try:
        raw = (source / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise TfEmbeddingsError(
            f"tf_embeddings: the folder '{source}' holds no {MANIFEST}, so it is not an unpacked "
            f"artifact. Make one with: {stage_command('<model>')}"
        ) from None
    return parse_manifest(raw, label)


def parse_manifest(raw: bytes, label: str) -> Manifest:
    """Validate the text of a manifest; `label` names the artifact in messages."""
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _unusable(label, f"its {MANIFEST} is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise _unusable(label, f"its {MANIFEST} is a {type(fields).__name__}, not an object")
    _require_known_number(fields, "format", FORMAT, label)
    _require_known_number(fields, "contract", CONTRACT, label)
    fields = {**_DEFAULTS, **fields}
    for name, (allowed, accepts) in _RULES.items():
        if name not in fields:
            raise _unusable(label, f"its {MANIFEST} lacks '{name}', {allowed}")
        if not accepts(fields[name]):
            came = json.dumps(fields[name])
            came = came if len(came) <= 60 else came[:57] + "..."
            raise _unusable(label, f"its {MANIFEST} says {name}: {came}, not {allowed}")
    if fields["model_dimensions"] < fields["dimensions"]:
        what = (
            f"its {MANIFEST} says model_dimensions: {fields['model_dimensions']}, fewer than its "
            f"dimensions: {fields['dimensions']}"
        )
        raise _unusable(label, what)
    known = {name: fields[name] for name in _RULES}
    known["packages"] = tuple(known["packages"])
    known["files"] = {path: FileEntry(**entry) for path, entry in known["files"].items()}
    return Manifest(**known)


def is_safe_path(path: str) -> bool:
    r"""Tell whether a path of an artifact stays in its folder: relative, `/`, no `..`, no `\`."""
    parts = path.split("/")
    return not (set(parts) & {"", ".", ".."} or re.search(r"[\\:\x00-\x1f]", path))


def _entry_of_zip(source: Path | io.BytesIO, label: str) -> bytes:
    try:
        with zipfile.ZipFile(source) as archive:
            entry = archive.getinfo(MANIFEST)
            if (size := entry.file_size) > _MOST_BYTES:
                raise _unusable(label, f"its {MANIFEST} would unpack to {size:,} bytes")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise _unusable(label, f"its {MANIFEST} is compressed")
            return archive.read(MANIFEST)
    except FileNotFoundError:
        raise TfEmbeddingsError(
            f"tf_embeddings: the artifact '{source}' does not exist. "
            f"Make it with: {_stage_again(str(source))}"
        ) from None
    except KeyError:
        raise _unusable(label, f"it holds no {MANIFEST}") from None
    except (*UNREADABLE, OSError) as error:
        raise _unusable(label, f"it is cut short, or not a zip ({error})") from None


def _require_known_number(fields: Mapping[str, Any], name: str, known: int, label: str) -> None:
    came = fields.get(name)
    if type(came) is int and came == known:
        return
    model = fields.get("model")
    if not (isinstance(model, str) and _NAME.fullmatch(model)):
        model = "<model>"
    raise TfEmbeddingsError(
        f"tf_embeddings: the artifact {label} has {name} {json.dumps(came)}, and the installed "
        f"tf_embeddings only knows {name} {known}. Install the tf_embeddings that made it, or "
        f"stage the model again with: {stage_command(model)}"
    )


def _unusable(label: str, what: str) -> TfEmbeddingsError:
    error = TfEmbeddingsError(
        f"tf_embeddings: the artifact {label} cannot be used: {what}. Delete it and stage the "
        f"model again with: {_stage_again(label)}"
    )
    error.what = what
    return error


def _stage_again(label: str) -> str:
    """Return the command that stages the model of an artifact, which its file's name says."""
    named = _FILE_NAME.search(label)
    return stage_command(named[1] if named else "<model>")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_files(value: object) -> bool:
    return isinstance(value, dict) and all(
        is_safe_path(path)
        and path not in (MANIFEST, GOLDEN)
        and isinstance(entry, dict)
        and entry.keys() == {"sha256", "bytes"}
        and isinstance(entry["sha256"], str)
        and _DIGEST.fullmatch(entry["sha256"])
        and _is_whole(entry["bytes"], 0, 2**32)
        for path, entry in value.items()
    )


_RULES: dict[str, tuple[str, Callable[[Any], object]]] = {
    "model": (
        "a name of a-z, 0-9 and _ that starts with a letter",
        lambda v: isinstance(v, str) and _NAME.fullmatch(v),
    ),
    "version": (
        "'v' and 12 hex digits",
        lambda v: isinstance(v, str) and _VERSION.fullmatch(v),
    ),
    "meaning": ("what the version is a digest of", lambda v: isinstance(v, dict)),
    "dimensions": (
        f"a whole number from 1 to {_MOST_DIMENSIONS}",
        lambda v: _is_whole(v, 1, _MOST_DIMENSIONS),
    ),
    "model_dimensions": (
        f"a whole number from 1 to {_MOST_DIMENSIONS}",
        lambda v: _is_whole(v, 1, _MOST_DIMENSIONS),
    ),
    "kind": ("the name of a kind of encoder", _is_text),
    "engine": ("the name of an engine", _is_text),
    "encoder": ("the encoder's parameters", lambda v: isinstance(v, dict)),
    "normalize": ("true or false", lambda v: isinstance(v, bool)),
    "max_tokens": (
        "null or a whole number of at least 1",
        lambda v: v is None or _is_whole(v, 1, 2**31 - 1),
    ),
    "prefix": ("a text, empty for none", lambda v: isinstance(v, str)),
    "packages": (
        "a list of Python packages",
        lambda v: isinstance(v, list) and all(map(_is_text, v)),
    ),
    "files": ("a digest and a size for each file", _is_files),
    "row_by_row": ("true or false", lambda v: isinstance(v, bool)),
}

# They are left out of the manifest of a model that does not need them, and so of its build.
_DEFAULTS: dict[str, Any] = {"row_by_row": False}
