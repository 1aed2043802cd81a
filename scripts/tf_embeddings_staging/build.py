"""Building an artefact: model, runtime, golden vectors and manifest in one zip."""

from __future__ import annotations

import importlib.metadata
import json
import math
import operator
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tf_embeddings_udf
from tf_embeddings_udf import CONTRACT, FORMAT

from tf_embeddings_staging import cache, process, saved_model
from tf_embeddings_staging.catalogue import Entry, KnownCosines
from tf_embeddings_staging.encoder_folder import TOKENIZER, WEIGHTS, read_encoder_folder
from tf_embeddings_staging.errors import StagingError, missing_package
from tf_embeddings_staging.fetch import fetch
from tf_embeddings_staging.golden import ALONE, TEXTS
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built, Folder, Source

MANIFEST = "manifest.json"
GOLDEN = "golden.json"
MODEL = "model"
RUNTIME = "tf_embeddings_udf"

_MOST_BYTES = 2**32 - 2**20  # zipimport reads no zip64: https://docs.python.org/3/library/zipimport
_MEASURED = "measured.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o644) << 16
_UNIT_NORM_TOLERANCE = 1e-5
_ALONE_TOLERANCE = 1e-5
_FEWEST_GOLDEN = 8

_PACKAGES = {
    "tokens": ["numpy", "tensorflow", "tokenizers"],
    "text": ["numpy", "tensorflow"],
}


@dataclass(frozen=True)
class Artefact:
    """A built artefact, in the cache: its file, and what its pin says.

    Attributes:
        memory_bytes: what the process of the probe took at most, TensorFlow included; None if
            nobody knows.
    """

    path: Path
    model: str
    version: str
    build: str
    dimensions: int
    kind: str
    packages: tuple[str, ...]
    memory_bytes: int | None = None

    @property
    def place(self) -> Path:
        """Return its path on a stage."""
        return Path(self.model, self.version, f"{self.model}-{self.build}.zip")

    def pin(self) -> dict[str, Any]:
        """Return what dbt_project.yml says of it."""
        return {
            "version": self.version,
            "build": self.build,
            "dimensions": self.dimensions,
            "kind": self.kind,
            "packages": list(self.packages),
        }


@dataclass(frozen=True)
class Model:
    """A model that is ready to be zipped: its folder, and what the manifest says of it.

    `weights` is what the version is a digest of, beside the encoder's parameters.
    """

    folder: Path
    kind: str
    encoder: Mapping[str, Any]
    dimensions: int
    normalize: bool
    max_tokens: int | None
    weights: Mapping[str, Any]
    source: Mapping[str, Any]
    licence: str | None
    known: KnownCosines | None

    def version(self) -> str:
        """Return the version: what a vector of this model means, whoever built it and where."""
        meaning = {
            "contract": CONTRACT,
            "kind": self.kind,
            "encoder": self.encoder,
            "normalize": self.normalize,
            "dimensions": self.dimensions,
            "weights": self.weights,
        }
        return "v" + cache.digest_of(meaning)[:12]


def build(source: Source, name: str, folder: Path, report: Report) -> Artefact:
    """Return the artefact of a source under a model name, from the cache `folder` if it is there.

    A source that is an artefact stays where and as it is.

    Raises:
        StagingError: the source cannot be fetched, converted or run, or gives wrong numbers.
    """
    if isinstance(source, Built):
        return read_artefact(source.path)
    target = folder / "artefacts" / cache.digest_of(_recipe(source, name))[:32]
    if built := _cached(target, name):
        report.say(f"{name}: built before, taken from {built}")
        return read_artefact(built)
    path = source.path if isinstance(source, Folder) else fetch(source, folder, report)
    with cache.work_folder(folder) as work:
        model = _prepare(source, path, work, report)
        artefact = work / "artefact.zip"
        with report.step(f"Probing {name}: {len(TEXTS)} texts through the artefact's own runtime"):
            files, memory_bytes = _assemble(model, name, work, report)
        with report.step(f"Writing the artefact of {name}"):
            _write_zip(files, artefact)
        place = target / f"{name}-b{cache.sha256_of(artefact)[:12]}.zip"
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the artefact, and not in it: the bytes of two builds are the same.
        _write_json(work / _MEASURED, {"memory_bytes": memory_bytes}, indent=None)
        os.replace(work / _MEASURED, place.with_suffix(".json"))
        os.replace(artefact, place)
    report.say(f"The artefact is {place}")
    return read_artefact(place)


def packages_of(source: Source) -> tuple[str, ...]:
    """Return the Python packages that the artefact of a source needs."""
    if isinstance(source, Built):
        return read_artefact(source.path).packages
    is_text = isinstance(source, Folder) and saved_model.is_saved_model(source.path)
    return tuple(_PACKAGES["text" if is_text else "tokens"])


def read_artefact(path: Path) -> Artefact:
    """Return what a whole artefact's manifest says."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    return Artefact(
        path=path,
        model=manifest["model"],
        version=manifest["version"],
        build=_build_in_name(path),
        dimensions=manifest["dimensions"],
        kind=manifest["kind"],
        packages=tuple(manifest["packages"]),
        memory_bytes=_memory_bytes(path.with_suffix(".json")),
    )


def _memory_bytes(measured: Path) -> int | None:
    return json.loads(measured.read_bytes())["memory_bytes"] if measured.is_file() else None


def runtime_folder() -> Path:
    """Return the folder of the runtime, beside the scripts' own."""
    return Path(tf_embeddings_udf.__file__ or "").parent


def _cached(folder: Path, name: str) -> Path | None:
    """Return the artefact that a run before left here, if its bytes are still the same."""
    for path in sorted(folder.glob(f"{name}-b*.zip")):
        if f"b{cache.sha256_of(path)[:12]}" == _build_in_name(path):
            return path
        path.unlink()
    return None


def _build_in_name(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def _recipe(source: Entry | Folder, name: str) -> dict[str, Any]:
    """Return all that an artefact's bytes depend on."""
    own = Path(__file__).resolve().parent
    return {
        "name": name,
        "source": _source_digests(source),
        "runtime": _python_digests(runtime_folder()),
        "staging": _python_digests(own),
        "packages": {
            package: _installed_version(package)
            for package in ("numpy", "safetensors", "tensorflow", "tokenizers")
        },
    }


def _source_digests(source: Entry | Folder) -> dict[str, Any]:
    if isinstance(source, Entry):
        return {"entry": asdict(source)}
    if saved_model.is_saved_model(source.path):
        files = saved_model.files_of(source.path)
        return {"saved_model": _digests(files), "uri": _uri(source)}
    encoder = read_encoder_folder(source.path)
    return {
        "encoder": {
            **encoder.architecture(),
            "normalize": encoder.normalize,
            "max_tokens": encoder.max_tokens,
        },
        "files": _digests({WEIGHTS: encoder.weights, TOKENIZER: encoder.tokenizer}),
        "uri": _uri(source),
    }


def _uri(source: Entry | Folder) -> str:
    """Return where a model comes from, without the path that it has on this machine."""
    return source.home if isinstance(source, Entry) else f"folder:{source.path.name}"


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: cache.sha256_of(path) for name, path in files.items()}


def _python_files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}


def _python_digests(folder: Path) -> dict[str, str]:
    return _digests(_python_files(folder))


def _installed_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise missing_package(package) from None


def _prepare(source: Entry | Folder, path: Path, work: Path, report: Report) -> Model:
    if saved_model.is_saved_model(path):
        return _text_model(source, path, work, report)
    return _tokens_model(source, path, work, report)


def _tokens_model(source: Entry | Folder, path: Path, work: Path, report: Report) -> Model:
    """Convert the folder of a sentence encoder."""
    encoder = read_encoder_folder(path)
    target = work / MODEL
    request = {
        "config": asdict(encoder.config),
        "weights": str(encoder.weights),
        "pooling": encoder.pooling,
        "target": str(target),
    }
    with report.step("Converting the weights to a TensorFlow SavedModel"):
        process.run("convert", request, work)
    shutil.copyfile(encoder.tokenizer, target / TOKENIZER)
    digests = _digests({WEIGHTS: encoder.weights, TOKENIZER: encoder.tokenizer})
    return Model(
        folder=target,
        kind="tokens",
        encoder={
            "signature": "serving_default",
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "token_type_ids": None,
            "output": "embedding",
            "tokenizer": TOKENIZER,
            "max_tokens": encoder.max_tokens,
        },
        dimensions=encoder.config.hidden_size,
        normalize=encoder.normalize,
        max_tokens=encoder.max_tokens,
        weights={**encoder.architecture(), "files": digests},
        source={"uri": _uri(source), "files": digests},
        licence=source.licence if isinstance(source, Entry) else None,
        known=source.known if isinstance(source, Entry) else None,
    )


def _text_model(source: Entry | Folder, path: Path, work: Path, report: Report) -> Model:
    """Copy a SavedModel that takes strings."""
    target = work / MODEL
    for name, file in saved_model.files_of(path).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name)
    with report.step("Inspecting the SavedModel"):
        found = process.run("inspect", {"folder": str(target)}, work)
    digests = _digests(saved_model.files_of(target))
    return Model(
        folder=target,
        kind="text",
        encoder={name: found[name] for name in ("signature", "input", "rank", "output")},
        dimensions=found["dimensions"],
        normalize=False,
        max_tokens=None,
        weights=digests,
        source={"uri": _uri(source), "files": digests},
        licence=None,
        known=None,
    )


def _assemble(
    model: Model, name: str, work: Path, report: Report
) -> tuple[dict[str, Path], int | None]:
    """Lay out the artefact in `work` as it will be unpacked, probe it, and list its files.

    Returns:
        The files, and the memory that the probe took, in bytes.
    """
    folder = work / "artefact"
    folder.mkdir()
    os.replace(model.folder, folder / MODEL)
    for relative, path in _python_files(runtime_folder()).items():
        copy = folder / RUNTIME / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    names = [*saved_model.files_of(folder / MODEL)]
    if (folder / MODEL / TOKENIZER).is_file():
        names.append(TOKENIZER)
    files = {f"{MODEL}/{relative}": folder / MODEL / relative for relative in names}
    files |= {
        f"{RUNTIME}/{relative}": path for relative, path in _python_files(folder / RUNTIME).items()
    }
    # The runtime reads the manifest before it loads the model; the golden vectors come after.
    _write_manifest(model, name, files, folder)
    golden, memory_bytes = _probe(model, folder, work, report)
    _write_json(folder / GOLDEN, golden, indent=None)
    files[GOLDEN] = folder / GOLDEN
    _write_manifest(model, name, files, folder)
    return {**files, MANIFEST: folder / MANIFEST}, memory_bytes


def _write_manifest(model: Model, name: str, files: Mapping[str, Path], folder: Path) -> None:
    manifest = {
        "format": FORMAT,
        "contract": CONTRACT,
        "model": name,
        "version": model.version(),
        "dimensions": model.dimensions,
        "kind": model.kind,
        "encoder": model.encoder,
        "normalize": model.normalize,
        "max_tokens": model.max_tokens,
        "source": model.source,
        "licence": model.licence,
        "tensorflow": _installed_version("tensorflow"),
        "packages": _PACKAGES[model.kind],
        "files": {
            relative: {"sha256": cache.sha256_of(path), "bytes": path.stat().st_size}
            for relative, path in files.items()
        },
    }
    _write_json(folder / MANIFEST, manifest, indent=1)


def _write_json(path: Path, value: object, *, indent: int | None) -> None:
    text = json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=False)
    path.write_bytes(f"{text}\n".encode())


def _probe(
    model: Model, folder: Path, work: Path, report: Report
) -> tuple[dict[str, Any], int | None]:
    """Embed the golden texts with the unpacked artefact.

    Returns:
        What golden.json holds, and the memory that it took, in bytes.
    """
    known = model.known.cosines if model.known else ()
    pairs = sorted({text for pair in known for text in pair[:2]})
    texts = [*TEXTS, *pairs]
    request = {"folder": str(folder), "texts": texts, "alone": ALONE}
    outcome = process.run("probe", request, work)
    vectors = dict(zip(texts, outcome["vectors"], strict=True))
    counts = dict(zip(texts, outcome["token_counts"], strict=True))
    without = [text for text, is_ok in zip(texts, outcome["ok"], strict=True) if not is_ok]
    _require_enough(model, texts, without)
    if without:
        listed = ", ".join(map(_quoted, without))
        report.say(f"Left out of the golden vectors, for the model gives them none: {listed}")
    good = [text for text in texts if text not in without]
    check_vectors({text: vectors[text] for text in good}, model.dimensions, model.normalize)
    if outcome["apart"] > _ALONE_TOLERANCE:
        raise StagingError(
            f"the model gives a text another vector alone than among others (they differ by "
            f"{outcome['apart']:.2g} in a component). Save it for inference, without dropout and "
            f"batch statistics."
        )
    if model.known:
        check_cosines(model.known, vectors)
    texts = [text for text in TEXTS if text in good]
    golden = {
        "texts": texts,
        "vectors": [vectors[text] for text in texts],
        "token_counts": [counts[text] for text in texts],
    }
    return golden, outcome["memory_bytes"]


def _require_enough(model: Model, texts: Sequence[str], without: Sequence[str]) -> None:
    """Require a vector for each text; a model of strings may know nothing of some scripts."""
    if not without or (model.kind == "text" and len(texts) - len(without) >= _FEWEST_GOLDEN):
        return
    raise StagingError(
        f"the model gives no vector for {_quoted(without[0])}{_and_others(without)}: what comes "
        f"out is not finite or all zeros, or the model fails."
    )


def _and_others(texts: Sequence[str]) -> str:
    return f" and {len(texts) - 1} other texts" if len(texts) > 1 else ""


def check_vectors(vectors: Mapping[str, Sequence[float]], dimensions: int, normalize: bool) -> None:
    """Require vectors of the right length, finite, and of length 1 if they must be.

    Raises:
        StagingError: naming the text.
    """
    for text, vector in vectors.items():
        if len(vector) != dimensions or not all(map(math.isfinite, vector)):
            raise StagingError(
                f"the model gives {len(vector)} numbers for {_quoted(text)}, not {dimensions} "
                f"finite ones."
            )
        if normalize and abs(math.hypot(*vector) - 1) > _UNIT_NORM_TOLERANCE:
            raise StagingError(
                f"the vector of {_quoted(text)} has the length {math.hypot(*vector):.6f}, not 1."
            )


def check_cosines(known: KnownCosines, vectors: Mapping[str, Sequence[float]]) -> None:
    """Require the published cosines.

    Raises:
        StagingError: naming the pair, what came and what is published.
    """
    for a, b, expected in known.cosines:
        came = _cosine(vectors[a], vectors[b])
        if abs(came - expected) > known.tolerance:
            raise StagingError(
                f"the cosine of {_quoted(a)} and {_quoted(b)} comes out as {came:.4f}, and is "
                f"published as {expected:.4f} ({known.source}; tolerance {known.tolerance:g}). The "
                f"weights or the conversion are not right."
            )


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(map(operator.mul, a, b)) / (math.hypot(*a) * math.hypot(*b))


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _write_zip(files: Mapping[str, Path], target: Path) -> None:
    """Write a zip whose bytes depend on nothing but its files' names and bytes."""
    total = sum(path.stat().st_size for path in files.values())
    if total > _MOST_BYTES:
        raise StagingError(
            f"the artefact would have {total / 2**30:.1f} GiB; Python imports from a zip of less "
            f"than 4 GiB. Choose a smaller model."
        )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = _MODE
            entry.file_size = files[name].stat().st_size
            with files[name].open("rb") as original, archive.open(entry, "w") as copy:
                shutil.copyfileobj(original, copy, cache.CHUNK)
