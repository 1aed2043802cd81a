"""An artifact that was made before: its content is checked before it is staged unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tf_embeddings_udf
from tf_embeddings_udf import CONTRACT, Manifest, TfEmbeddingsError, read_manifest
from tf_embeddings_udf.encoders import KINDS
from tf_embeddings_udf.engines import ENGINES, LIBRARIES, LITERT, TENSORFLOW
from tf_embeddings_udf.engines.litert import MODEL_FILE
from tf_embeddings_udf.manifest import MODEL_FOLDER, PREPROCESSOR_FOLDER

from tf_embeddings_staging import cache, process
from tf_embeddings_staging.building.artifact import (
    RUNTIME,
    Artifact,
    build_in_name,
    is_whole,
    python_files,
    read_artifact,
    runtime_folder,
)
from tf_embeddings_staging.errors import StagingError
from tf_embeddings_staging.model import (
    DEFAULTS,
    litert_parameters,
    packages_of,
    version_of,
    without_defaults,
)
from tf_embeddings_staging.options import Limits, Options
from tf_embeddings_staging.progress import Report
from tf_embeddings_staging.sources import Built

_MOST_OTHERS = 3  # that vectors are compared with: a cache may hold dozens of one model


def check_built(
    source: Built,
    folder: Path,
    report: Report,
    options: Options,
    limits: Limits,
    stage: Path | None = None,
    pinned: str | None = None,
) -> Artifact:
    """Return an artifact whose content is one of ours.

    The version is a digest of the original weights. A SavedModel that runs on TensorFlow has them
    in the artifact, byte by byte. Converted weights can only be trusted if the project pins this
    build, if this machine made it, or if an artifact of the same version gives the same vectors.

    Args:
        source: the artifact.
        folder: the cache.
        report: tells of Python code that is not this release's, and of weights that nothing
            proves.
        options: `allow_ops` is what the user lets its graphs do.
        limits: the memory and the time of the check.
        stage: the stage folder, if there is one.
        pinned: the build of the model that the project pins, if it does.

    Raises:
        StagingError: its files, graph or vectors are not those of an artifact of its version.
    """
    manifest = require_fitting(source)
    build = build_in_name(source.path)
    others = _of_this_version(manifest, build, pinned, folder / "artifacts", stage)
    with cache.work_folder(folder) as work, report.step(f"Checking {source.path.name}"):
        try:
            unpacked = tf_embeddings_udf.unpack(source.path, work, model=source.model, build=build)
        except TfEmbeddingsError as error:
            why = error.what or str(error).removeprefix("tf_embeddings: ")
            raise _refused(source, why) from None
        if manifest.engine == LITERT:
            process.run("check_litert", {"folder": str(unpacked)}, work, limits)
        else:
            places = [
                MODEL_FOLDER,
                *([PREPROCESSOR_FOLDER] if (unpacked / PREPROCESSOR_FOLDER).exists() else []),
            ]
            request = {
                "folders": [str(unpacked / place) for place in places],
                "allow_ops": list(options.allow_ops),
            }
            process.run("check", request, work, limits)
        of_others = [str(path) for of_build, path in others.items() if of_build != build]
        request = {"folder": str(unpacked), "others": of_others}
        own, *theirs = process.run("check_golden", request, work, limits)["problems"]
    if own:
        raise _refused(source, f"it is not the model that its golden vectors are of: {own}")
    for other, problem in zip(of_others, theirs, strict=True):
        if problem:
            raise _refused(
                source,
                f"'{other}' has the same version {manifest.version}, and this one gives other "
                f"vectors: {problem}",
            )
    if not (_has_its_weights(manifest) or others or pinned == build):
        report.say(
            f"Note: nothing here proves that the weights of {source.path.name} are those of its "
            f"version {manifest.version}: they were converted, the project does not pin this "
            f"build, and neither the cache nor a stage folder has an artifact of this version to "
            f"compare it with. Stage it only if you trust whoever made it."
        )
    if _runtime_of(manifest) != _installed_runtime():
        report.say(
            f"Warning: {source.path.name} brings Python code that is not this release's; it runs "
            f"where the model runs. Stage it only if you trust whoever made it."
        )
    return read_artifact(source.path)


def require_fitting(source: Built) -> Manifest:
    """Return the manifest of an artifact whose files and packages are those of its kind.

    Raises:
        StagingError: they are not.
    """
    manifest = read_manifest(source.path)
    for path in manifest.files:
        top, _, rest = path.partition("/")
        if not (rest and top in (RUNTIME, MODEL_FOLDER, PREPROCESSOR_FOLDER)):
            raise _refused(source, f"it holds '{path}', which does not belong in an artifact")
    libraries = manifest.encoder.get("libraries", [])
    if manifest.kind not in KINDS or not isinstance(libraries, list):
        raise _refused(source, f"its kind '{manifest.kind}' or its libraries are unknown")
    if manifest.engine not in ENGINES:
        raise _refused(source, f"its engine '{manifest.engine}' is unknown")
    if manifest.engine not in KINDS[manifest.kind].engines:
        why = f"it is for {manifest.engine}, which does not run models of kind {manifest.kind}"
        raise _refused(source, why)
    if manifest.engine == LITERT and f"{MODEL_FOLDER}/{MODEL_FILE}" not in manifest.files:
        raise _refused(source, f"it is for LiteRT and holds no '{MODEL_FOLDER}/{MODEL_FILE}'")
    if _version_of(manifest) != manifest.version:
        raise _refused(source, f"its version {manifest.version} is not that of its meaning")
    if unknown := [one for one in libraries if one not in [*LIBRARIES]]:
        raise _refused(source, f"its library {unknown[0]!r} is unknown")
    names = sorted(package.partition("==")[0] for package in manifest.packages)
    wanted = list(packages_of(manifest.kind, manifest.engine, libraries))
    if names != wanted:
        raise _refused(
            source,
            f"it asks for the packages {', '.join(names)}, where its kind needs "
            f"{', '.join(wanted)}",
        )
    if problem := _contradiction(manifest) or _other_content(manifest):
        raise _refused(source, problem)
    if not _runtime_of(manifest):
        raise _refused(source, "it holds no runtime, which Snowflake runs it with")
    return manifest


def _contradiction(manifest: Manifest) -> str | None:
    """Return where a manifest differs from the meaning that its version is a digest of, or None."""
    meaning, encoder = manifest.meaning, manifest.meaning.get("encoder")
    if not isinstance(encoder, dict) or not isinstance(meaning.get("weights"), dict):
        return "its meaning holds no encoder and no weights"
    encoder = {**DEFAULTS, **encoder}
    is_converted = manifest.engine == LITERT
    of_meaning = {
        "contract": meaning.get("contract"),
        "kind": meaning.get("kind"),
        "encoder": without_defaults(litert_parameters(encoder) if is_converted else encoder),
        "normalize": meaning.get("normalize"),
        "dimensions": meaning.get("dimensions"),
        "model_dimensions": manifest.dimensions
        if is_converted
        else meaning.get("model_dimensions", manifest.dimensions),
        "prefix": meaning.get("prefix", ""),
        "max_tokens": encoder.get("max_tokens"),
    }
    says: dict[str, Any] = {
        "contract": CONTRACT,
        "kind": manifest.kind,
        "encoder": without_defaults(manifest.encoder),
        "normalize": manifest.normalize,
        "dimensions": manifest.dimensions,
        "model_dimensions": manifest.model_dimensions,
        "prefix": manifest.prefix,
        "max_tokens": manifest.max_tokens,
    }
    return next(
        (
            f"its {name} is {says[name]!r}, and its version is of {of_meaning[name]!r}"
            for name in of_meaning
            if says[name] != of_meaning[name]
        ),
        None,
    )


def _other_content(manifest: Manifest) -> str | None:
    """Return which file is not the one that the version is a digest of; None: all are."""
    weights = manifest.meaning["weights"]
    there = {
        path: entry.sha256
        for path, entry in manifest.files.items()
        if path.startswith((f"{MODEL_FOLDER}/", f"{PREPROCESSOR_FOLDER}/"))
    }
    # A version has the names of the model's files without their folder, the preprocessor's with it.
    outer = (
        f"{PREPROCESSOR_FOLDER}/"
        if any(path.startswith(f"{PREPROCESSOR_FOLDER}/") for path in there)
        else ()
    )
    if _has_its_weights(manifest):
        of_version = {
            name if name.startswith(outer) else f"{MODEL_FOLDER}/{name}": digest
            for name, digest in weights.items()
        }
        paths = sorted(of_version.keys() | there.keys())
    else:
        given = weights.get("files")
        weights = given if isinstance(given, dict) else weights
        tokenizer = manifest.encoder.get(KINDS[manifest.kind].tokenizer or "")
        names = [tokenizer] if isinstance(tokenizer, str) and tokenizer in weights else []
        of_version = {f"{MODEL_FOLDER}/{name}": weights[name] for name in names}
        paths = list(of_version)
    wrong = next((path for path in paths if of_version.get(path) != there.get(path)), None)
    if wrong is None:
        return None
    return f"its '{wrong.removeprefix(f'{MODEL_FOLDER}/')}' is not the one that its version is of"


def _has_its_weights(manifest: Manifest) -> bool:
    """Tell whether the files that the version is a digest of are in the artifact themselves."""
    is_converted = isinstance(manifest.meaning["weights"].get("files"), dict)
    return manifest.engine == TENSORFLOW and not is_converted


def _of_this_version(
    manifest: Manifest, own: str, pinned: str | None, kept: Path, stage: Path | None
) -> Mapping[str, Path]:
    """Return whole artifacts of a version, by build: those made on this machine, those staged.

    They include the same build, the pinned one and a few others, as far as they exist.
    """
    paths = [*(stage.glob("*/*/*.zip") if stage else ()), *kept.glob("*/*.zip")]
    builds = {path: build_in_name(path) for path in paths}
    found: dict[str, Path] = {}
    for path in sorted(builds, key=lambda path: builds[path] not in (own, pinned)):
        build = builds[path]
        if build in found or len(found.keys() - {own}) == _MOST_OTHERS:
            continue
        try:
            is_one = read_manifest(path).version == manifest.version
        except TfEmbeddingsError:
            continue
        if is_one and is_whole(path, build):
            found[build] = path
    return found


def _version_of(manifest: Manifest) -> str | None:
    try:
        return version_of(manifest.meaning)
    except (
        ValueError,
        RecursionError,
    ):  # what staging never writes: half a surrogate, a thousand nested lists
        return None


def _runtime_of(manifest: Manifest) -> dict[str, str]:
    prefix = f"{RUNTIME}/"
    return {
        path.removeprefix(prefix): entry.sha256
        for path, entry in manifest.files.items()
        if path.startswith(prefix)
    }


def _installed_runtime() -> dict[str, str]:
    files = python_files(runtime_folder())
    return {name: cache.sha256_of(path) for name, path in files.items()}


def _refused(source: Built, why: str) -> StagingError:
    return StagingError(
        f"SOURCE '{source.path.name}' cannot be staged: {why.rstrip('.')}. Stage the model again "
        f"from where it comes from."
    )
