"""Building an artifact: from a source, by way of the cache, to one zip that is probed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tf_embeddings_udf import build_of
from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.manifest import MODEL_FOLDER

from tf_embeddings_staging import cache
from tf_embeddings_staging.building import golden_vectors, known
from tf_embeddings_staging.building.artifact import (
    Artifact,
    add_runtime,
    build_in_name,
    is_whole,
    read_artifact,
    require_size,
    write_golden,
    write_zip,
)
from tf_embeddings_staging.building.built import check_built, require_fitting
from tf_embeddings_staging.building.engine import choose_engine
from tf_embeddings_staging.building.prepare import Input, inspect, own_copy, prepare
from tf_embeddings_staging.building.probe import TEXTS
from tf_embeddings_staging.building.recipe import recipe, require_packages
from tf_embeddings_staging.catalogue import Entry
from tf_embeddings_staging.conversion.encoder_folder import WEIGHTS
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.fetching.fetch import Fetched, materialize
from tf_embeddings_staging.inspection import kinds
from tf_embeddings_staging.inspection.files import is_saved_model, require_no_pointer
from tf_embeddings_staging.model import Model, packages_of, write_manifest
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built, Source, resolve_preprocessor


def build(
    source: Source,
    name: str,
    folder: Path,
    report: Report,
    options: Options | None = None,
    limits: Limits | None = None,
    sha256: str | None = None,
    stage: Path | None = None,
    pinned: str | None = None,
) -> Artifact:
    """Return the artifact of a source under a model name, from the cache if it is there.

    A source that is an artifact stays where and as it is.

    Args:
        source: what `resolve` gave.
        name: the model's name.
        folder: the cache.
        report: tells the user what happens.
        options: what the user says about the model.
        limits: of downloads and processes.
        sha256: what a downloaded file must have.
        stage: the stage folder, and
        pinned: the build that the project pins: what an artifact is compared with.

    Raises:
        StagingError: the source cannot be fetched, converted or run, or gives wrong numbers.
    """
    options, limits = options or Options(), limits or Limits()
    if isinstance(source, Built):
        _require_dimensions(source.model, require_fitting(source).dimensions, limits)
        return check_built(source, folder, report, options, limits, stage, pinned)
    require_packages()
    given = gather(source, folder, report, options, limits, sha256)
    entry = source if isinstance(source, Entry) else None
    wanted = recipe(name, given, entry)
    target = folder / "artifacts" / cache.digest_of(wanted)[:32]
    if built := _cached(target, name):
        report.say(f"{name}: built before, taken from {built}")
        artifact = read_artifact(built)
        _require_dimensions(name, artifact.dimensions, limits)
        return artifact
    with cache.work_folder(folder) as work:
        kept = own_copy(given, work / "source", report)
        if recipe(name, kept, entry) != wanted:
            raise StagingError(
                f"the files of '{given.fetched.path.name}' changed while they were copied. Run "
                f"this again when nothing writes to them."
            )
        packed = _packed(kept, name, entry, work, report, limits)
        place = _keep(packed, target, name)
    report.say(f"The artifact is {place}")
    return read_artifact(place)


def _packed(
    given: Input, name: str, entry: Entry | None, work: Path, report: Report, limits: Limits
) -> Path:
    """Make an artifact of what a model is made of."""
    laid_out, options = work / "tensorflow", given.options
    model = replace(prepare(given, laid_out, work, report, limits), name=name)
    known.check_dimensions(entry, options, model.dimensions)
    _require_dimensions(name, model.dimensions, limits)
    require_size(laid_out)
    write_manifest(model, laid_out)
    model, unpacked = choose_engine(model, laid_out, work, report, options, limits)
    add_runtime(unpacked)
    require_size(unpacked)
    published = known.of_entry(entry, options, report)
    model, recorded = _probed(model, unpacked, known.texts(published), work, report, limits)
    known.check(published, recorded.vectors, _token_ids(model, unpacked))
    measured = {
        "source": model.source,
        "license": model.license,
        "batch_difference": recorded.apart,
        "memory_bytes": recorded.memory_bytes,
        "measured_with": recorded.measured_with,
    }
    write_golden(unpacked, recorded.golden, measured)
    packed = work / "artifact.zip"
    with report.step(f"Writing the artifact of {name}"):
        write_zip(unpacked, packed)
    return packed


def _require_dimensions(name: str, dimensions: int, limits: Limits) -> None:
    """Refuse vectors that the target's warehouse has no type for, before they are pinned.

    Raises:
        StagingError: they have too many numbers.
    """
    if dimensions > limits.dimensions:
        raise StagingError(
            f"the vectors of {name} have {dimensions:,} numbers, and a vector in the target's "
            f"warehouse has at most {limits.dimensions:,}. Keep the first ones with --truncate-dim "
            f"{limits.dimensions}, if the model is made for that (Matryoshka), or choose a model "
            f"of fewer dimensions."
        )


def _probed(
    model: Model,
    folder: Path,
    others: Sequence[str],
    work: Path,
    report: Report,
    limits: Limits,
) -> tuple[Model, golden_vectors.Recorded]:
    """Embed the golden texts, and others; return the model, which may have to run row by row."""
    name = model.name
    write_manifest(model, folder)
    with report.step(f"Probing {name}: {len(TEXTS)} texts through the artifact's own runtime"):
        recorded = golden_vectors.record(model, folder, others, work, report, limits)
    if recorded.apart <= golden_vectors.SAME:
        return model, recorded
    report.say(
        f"{name} runs row by row, which is slower: in other batches a text's vector differs by "
        f"{recorded.apart:.1e} of its length, more than {golden_vectors.SAME:g}."
    )
    model = replace(model, row_by_row=True)
    write_manifest(model, folder)
    with report.step(f"Probing {name} again"):
        recorded = golden_vectors.record(model, folder, others, work, report, limits)
    golden_vectors.require_same(recorded)
    return model, recorded


def _token_ids(model: Model, folder: Path) -> Callable[[str], list[int] | None] | None:
    if model.tokenizer is None:
        return None
    return partial(kinds.KINDS[model.kind].token_ids, folder / MODEL_FOLDER / model.tokenizer)


def look(
    source: Source,
    folder: Path,
    report: Report,
    options: Options,
    limits: Limits,
    sha256: str | None,
) -> dict[str, Any]:
    """Return what the inspection of a source finds; nothing is built.

    Raises:
        StagingError: the source cannot be fetched, or is not a model that embeds.
    """
    require_packages()
    given = gather(source, folder, report, options, limits, sha256)
    with cache.work_folder(folder) as work:
        return inspect(own_copy(given, work / "source", report), work, report, limits)


def gather(
    source: Source,
    folder: Path,
    report: Report,
    options: Options,
    limits: Limits,
    sha256: str | None,
) -> Input:
    """Fetch what a model is made of.

    Raises:
        StagingError: a source does not give it.
    """
    said = replace(source.options, kind=source.options.kind or source.kind)
    options = said.overridden_by(options)
    fetched = materialize(source, folder, report, limits, sha256)
    require_no_pointer(fetched.path)
    return Input(
        fetched=replace(fetched, path=_saved_by_transformers(fetched.path) or fetched.path),
        preprocessor=_preprocessor(options.preprocessor, folder, report, limits),
        license=source.license,
        options=options,
    )


def _saved_by_transformers(path: Path) -> Path | None:
    """Return the SavedModel in a folder that transformers saved with `saved_model=True`.

    https://huggingface.co/docs/transformers/v4.44.0/main_classes/model
    """
    inner = path / "saved_model" / "1"
    has_weights = any(path.glob(f"{WEIGHTS}*"))
    is_one = path.is_dir() and not is_saved_model(path) and is_saved_model(inner)
    return inner if is_one and not has_weights else None


def _preprocessor(text: str | None, folder: Path, report: Report, limits: Limits) -> Fetched | None:
    if text is None:
        return None
    fetched = materialize(resolve_preprocessor(text), folder, report, limits, None)
    if fetched.path.is_dir() and is_saved_model(fetched.path):
        return fetched
    raise StagingError(
        f"--preprocessor '{text}' is not a SavedModel. Give one that makes the model's inputs of "
        f"texts."
    )


def likely_packages(source: Source, options: Options) -> tuple[str, ...]:
    """Return the packages that the artifact of a source needs, as far as that is known by now."""
    if isinstance(source, Built):
        return require_fitting(source).packages
    kind = options.kind or source.likely_kind
    engines = KINDS[kind].engines
    engine = engines[0] if len(engines) == 1 else options.engine
    return tuple(sorted({*packages_of(kind, engine), *source.packages}))


def _keep(artifact: Path, folder: Path, name: str) -> Path:
    """Move an artifact to where `_cached` finds it; return that of a faster run, if any."""
    whole = artifact.with_name("whole")
    whole.mkdir()
    file = f"{name}-{build_of(artifact)}.zip"
    os.replace(artifact, whole / file)
    cache.move_folder(whole, folder, lambda kept: _cached(kept, name) is not None)
    return _cached(folder, name) or folder / file


def _cached(folder: Path, name: str) -> Path | None:
    """Return the artifact that a run before left here, if it is still whole."""
    for path in sorted(folder.glob(f"{name}-b*.zip")):
        if is_whole(path, build_in_name(path)):
            return path
        path.unlink()
    return None
